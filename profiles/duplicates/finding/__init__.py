"""All profiles, or a few changed ones → candidate pairs, stored with their scores."""
