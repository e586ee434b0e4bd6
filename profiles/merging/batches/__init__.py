"""Thousands of merges decided together: frozen as pairs, previewed as a whole, applied and undone as jobs.

``freeze`` keeps the pairs, ``preview`` applies them in memory, ``apply`` does the same and writes it, some hundred
pairs in a transaction with the job's cursor, ``undo`` goes back from the last to the first.
"""
