"""Two profiles → a score, a likelihood and a tier. Pure."""
