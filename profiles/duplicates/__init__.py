"""Profiles that may be one person: found, scored, explained, and reviewed by people."""
