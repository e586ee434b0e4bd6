"""Synthetic people with known duplicates → the weights shipped in ``scoring/model.json``. Not needed at run
time.
"""
