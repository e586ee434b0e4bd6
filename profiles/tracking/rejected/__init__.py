"""Items and merges that wait for staff: receipts, repair, replay, held merges, double opt-in."""
