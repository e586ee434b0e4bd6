"""Items and merges that wait for a person: receipts, repair, replay, held merges, double opt-in."""
