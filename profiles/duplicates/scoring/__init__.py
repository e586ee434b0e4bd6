"""Two profiles → a score in bits, and a tier; for a few pairs in Python, for all of them in DuckDB. No
Django models.
"""
