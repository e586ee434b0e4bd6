"""The values of a profile: cleaning attributes, merging two values of a field, keeping the ones that lost."""
