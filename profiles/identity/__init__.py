"""Which values identify a profile, their one normal form, and who is merged into whom."""
