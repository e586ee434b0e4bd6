"""Profiles by text or filters: the search box, the filters of lists, counting the results."""
