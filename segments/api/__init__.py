"""Segments over HTTP: made and changed, counted before they are, their members, and why somebody is one or not."""
