"""The values of a profile: cleaning attributes, merging two values of a field, finding the ones that lost."""
