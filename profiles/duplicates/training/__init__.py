"""How the shipped weights came to be: invented people with known duplicates, and the fit. Not needed to run."""
