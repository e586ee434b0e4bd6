"""Who is in which segment, kept: filled when a rule is published, then changed by what happens and by time alone."""
