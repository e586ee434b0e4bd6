"""Pages about duplicates: the queue, one pair side by side, groups and shared values."""
