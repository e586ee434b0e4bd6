"""Code of a veto between two profiles → the sentence that says what objects. Pure.

The comparison decides when a veto holds (``profiles.duplicates.scoring.tiers``); merging, which is below it, names
the veto of a stored pair.
"""

from __future__ import annotations

VETO_TEXTS = {
    "first_names": "Their first names are known and unlike: two people.",
    "birth_dates": "Their birth dates are more than a slip apart: two people.",
    "identifiers": "They hold different values of an identifier of which a person has one.",
    "minor": "One is a minor and the other is not.",
}


def veto_text(code: str) -> str:
    """The sentence of a stored veto; one that an older model knew is named by its code."""
    return VETO_TEXTS.get(code, f"Vetoed: {code}.")
