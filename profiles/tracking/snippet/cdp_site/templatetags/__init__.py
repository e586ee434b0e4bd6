"""Template tags of the snippet."""
