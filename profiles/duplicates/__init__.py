"""Profiles → pairs that may be one person: scored, found, reviewed, merged and explained.

Rooms import one way: ``scoring`` ← ``finding`` ← ``review`` ← ``why``; ``training`` imports ``scoring``
only.
"""
