"""The room that says which values identify a person and how such a value is written, in one normal form."""
