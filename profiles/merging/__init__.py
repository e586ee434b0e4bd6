"""Merging two profiles of one person, previewing it, and undoing it; one pair or a batch of thousands."""
