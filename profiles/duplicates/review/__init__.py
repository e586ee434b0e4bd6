"""The queue people decide in: pages of pairs, decisions, explanations in words."""
