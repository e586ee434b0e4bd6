"""Joining two profiles that are one person, looking at it before, and taking it back (M1-M10)."""
