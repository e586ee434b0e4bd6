"""Stored pairs and cases → the queue reviewers work through, their decisions, and explanations in words."""
