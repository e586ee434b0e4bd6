"""Files as other tools export people, filled with invented people, and what each of their columns means."""
