"""What waits for a decision of staff or an owner: held merges, their decisions, double opt-in."""
