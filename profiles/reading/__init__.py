"""Profiles as pages and the API read them: merged view, timeline, provenance, devices."""
