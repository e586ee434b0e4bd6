"""What is known about two profiles together: verdicts of people, suggestions of sources, the rules for duplicates."""
