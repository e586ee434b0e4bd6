"""Finding profiles: the search box, the filters of lists, counting the results."""
