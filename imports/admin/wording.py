"""Codes of an import (targets, policies, outcomes) → the words its pages show."""

from __future__ import annotations

from collections.abc import Iterable

from imports.columns import APPEND, FILL, NEVER, OVERWRITE, Context
from imports.options import LEAVE_OUT, STRONGER
from profiles.values.attributes import LABELS

IGNORE, NEW = "ignore", "new"

# Answers to "When a person already has a value".
POLICIES = {
    FILL: "Keep it; fill only what is empty",
    OVERWRITE: "Replace it with the value in the file",
    APPEND: "Add to it (tags and lists)",
    NEVER: "Keep it; only new people get the value",
}
# Answers to "When a row matches two people".
ON_CONFLICT = {
    STRONGER: "Update the person its strongest identifier belongs to",
    LEAVE_OUT: "Leave the row out and list it",
}

# outcome → (one, several, part of the split bar)
OUTCOMES = {
    "created": ("new person", "new people", "new"),
    "updated": ("updated with new information", "updated with new information", "upd"),
    "unchanged": ("with nothing new in the file", "with nothing new in the file", "same"),
    "duplicate_in_file": ("repeats a person of this file", "repeat a person of this file", "same"),
    "failed": ("rejected", "rejected", "bad"),
    "conflict": ("matches two people, left out", "match two people, left out", "warn"),
    "held": ("changed since the plan, left out", "changed since the plan, left out", "warn"),
    "suppressed": ("erased person, left out", "erased people, left out", "warn"),
    "not_applied": ("not imported", "not imported", "warn"),
}
ALWAYS_LISTED = ("created", "updated", "unchanged", "failed")

_CONSENTS = {
    f"consent.{channel}.{purpose}": f"{label}: {purpose}"
    for channel, label in (("email", "E-mail"), ("sms", "SMS"))
    for purpose in ("newsletter", "marketing")
}
_CONSENT_PARTS = {"at": "date", "proof": "where they agreed"}

Targets = list[tuple[str, list[tuple[str, str]]]]


def canonical_target(to: str) -> str:
    """The API takes ``customer_id`` for ``identifier.customer_id``, and answers with the short form."""
    return "customer_id" if to == "identifier.customer_id" else to


def target_groups(context: Context, used: Iterable[str] = ()) -> Targets:
    """Groups of (to, label) for the select boxes; ``used`` targets that are in no group come last."""
    # An e-mail or phone column fills the attribute and identifies; these only identify.
    further = {"email": "Further e-mail", "phone": "Further phone"}
    identifiers = [
        (canonical_target(f"identifier.{spec.name}"), further.get(spec.name) or spec.label or spec.name)
        for spec in context.identifiers
    ]
    parts = [
        (f"{to}.{part}", f"{label}, {part_label}")
        for to, label in _CONSENTS.items()
        for part, part_label in _CONSENT_PARTS.items()
    ]
    custom = [(f"attributes.{spec.name}", spec.label or spec.name) for spec in context.attributes]
    groups = [
        ("Person", list(LABELS.items())),
        ("Identifiers", [("reference_id", "Reference id (letters and digits)"), *identifiers]),
        ("Custom attributes", custom),
        ("Tags", [("tags", "Tags, separated by commas")]),
        ("Consent", [*_CONSENTS.items(), *parts]),
    ]
    known = {to for _, entries in groups for to, _ in entries} | {IGNORE, NEW, ""}
    others = sorted({canonical_target(to) for to in used} - known)
    return [*groups, ("Others", [(to, to) for to in others])]


def target_labels(targets: Targets) -> dict[str, str]:
    """``{to: label}``, a consent with its group's name before it."""
    labels = {
        to: f"Consent, {label}" if group == "Consent" else label
        for group, entries in targets
        for to, label in entries
    }
    return {**labels, "tags": "Tags", IGNORE: "Left out", "reference_id": "Reference id"}


def outcome_label(outcome: str, count: int) -> str:
    one, several, _ = OUTCOMES[outcome]
    return one if count == 1 else several
