"""Seeing what tracking sends: sources and their keys, calls as they come in, what was rejected and its repair."""
