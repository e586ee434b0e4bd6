"""Finding profiles: the search box, the filters of lists, counting what they show."""
