"""Segments: groups of profiles by rule, kept up to date and explained."""
