"""What the builder asks for: fields that kinds of conditions are made of, and what they show of a rule and read from a form."""
