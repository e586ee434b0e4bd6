"""A rule asked: how many people, which ones, why one is in or not, and what keeps the others out. Nothing is stored."""
