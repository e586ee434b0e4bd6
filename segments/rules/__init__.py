"""The rule of a segment as a tree: groups of conditions, read from JSON, said in words, and asked in SQL and in Python."""
