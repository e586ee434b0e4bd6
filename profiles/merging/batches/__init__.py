"""Thousands of merges decided together (M7): made of pairs, looked at as a whole, carried out and taken back as jobs.

``make`` freezes the pairs, ``preview`` plays them in memory, ``apply`` plays the same and writes it, some hundred
pairs in a transaction with the job's cursor, ``undo`` goes back from the last to the first.
"""
