"""Code of a veto between two profiles → the sentence that says what objects. Pure.

The comparison decides when a veto holds (``profiles.duplicates.scoring.tiers``); merging, which is below it, names
the veto of a stored pair.
"""

from __future__ import annotations

VETO_TEXTS = {
    "first_names": "Their first names are known and different: two people.",
    "birth_dates": "Their birth dates differ by more than a typing mistake: two people.",
    "identifiers": "They have different values of an identifier that proves two people by that.",
    "minor": "One is a minor and the other is not.",
}


def veto_text(code: str) -> str:
    """The sentence of a stored veto; one that an older model knew is named by its code."""
    return VETO_TEXTS.get(code, f"Vetoed: {code}.")
