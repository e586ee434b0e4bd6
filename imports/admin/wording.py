"""Codes of an import (targets, policies, outcomes) → the words its pages show."""

from __future__ import annotations

from collections.abc import Iterable

from imports.columns import APPEND, COUNTRY_OF_ROW, FILL, NEVER, OVERWRITE, WITHOUT_PLUS, Context
from imports.columns.consent_words import GRANTED, NEITHER, WITHDRAWN
from imports.columns.dates import ORDERS
from imports.columns.separators import SEPARATORS
from imports.options import LEAVE_OUT, STRONGER
from profiles.consent.words import EMAIL, SHIPPED, ConsentLists
from profiles.identity.normalize import country_choices, country_name
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

QUOTE_NAMES = {"double": 'Quotes "…"', "single": "Apostrophes '…'", "none": "Nothing"}

# outcome → (one, several, part of the split bar)
OUTCOMES = {
    "created": ("new person", "new people", "new"),
    "updated": ("updated with new information", "updated with new information", "upd"),
    "unchanged": ("person kept as they were", "people kept as they were", "same"),
    "duplicate_in_file": ("repeats a person of this file", "repeat a person of this file", "same"),
    "failed": ("rejected", "rejected", "bad"),
    "conflict": ("matches two people, left out", "match two people, left out", "warn"),
    "held": ("changed since the plan, left out", "changed since the plan, left out", "warn"),
    "suppressed": ("erased person, left out", "erased people, left out", "warn"),
    "skipped": ("row skipped: empty or above the header", "rows skipped: empty or above the header", "same"),
    "not_applied": ("not imported", "not imported", "warn"),
}
ALWAYS_LISTED = ("created", "updated", "unchanged", "failed")

# Every purpose is offered for e-mail, these for the other channels that ship; the API takes any pair.
_OFFERED = {"sms": ("newsletter", "marketing")}
_USUAL = ("marketing",)
_CONSENT_PARTS = {"at": "date", "withdrawn_at": "date of unsubscribing", "proof": "where they agreed"}

# What a word of a consent column means.
STATES = {GRANTED: "subscribed", WITHDRAWN: "unsubscribed", NEITHER: "nothing: no change"}

Targets = list[tuple[str, list[tuple[str, str]]]]


def is_consent_state(to: str) -> bool:
    """Whether the column says yes or no, as opposed to when or where."""
    return to.startswith("consent.") and to.count(".") == 2


def may_have_separator(to: str) -> bool:
    """Whether a cell of the column may hold several values. Of attributes, only lists: the mapping checks that."""
    return to in ("tags", "email", "phone") or to.startswith(("identifier.", "attributes."))


def separator_choices(usual: str) -> list[tuple[str, str]]:
    """Answers to "What stands between several values in a cell"."""
    return [("", usual), *SEPARATORS.items()]


def date_order_choices() -> list[tuple[str, str]]:
    """Answers to "Dates such as 03/04/1985"."""
    return [("", "Not chosen: dates that can be read in two ways are left out"), *ORDERS.items()]


def phone_country_choices(region: str) -> list[tuple[str, str]]:
    """Answers to "Phone numbers without a country code are from"."""
    usual = (
        f"{country_name(region)}, as everywhere here" if region else "Not chosen: such numbers are left out"
    )
    return [
        ("", usual),
        (COUNTRY_OF_ROW, "The country in the row"),
        (WITHOUT_PLUS, "They have their country code; only the “+” is missing"),
        *country_choices(),
    ]


def phone_country_text(option: str) -> str:
    """The option in words, "" where nobody said anything."""
    where, _, otherwise = option.partition(":")
    text = dict(phone_country_choices("")).get(where, "") if where else ""
    return f"{text}, else {country_name(otherwise)}" if otherwise else text


def canonical_target(to: str) -> str:
    """The API takes ``customer_id`` for ``identifier.customer_id``, and answers with the short form."""
    return "customer_id" if to == "identifier.customer_id" else to


def consent_targets(lists: ConsentLists) -> dict[str, str]:
    """``{consent.email.newsletter: “E-mail: newsletter”}`` of what is offered; what staff added, everywhere."""
    shipped = [{word.name for word in words} for words in (SHIPPED.channels, SHIPPED.purposes)]
    return {
        f"consent.{channel.name}.{purpose.name}": f"{channel.label}: {purpose.text}"
        for channel in lists.channels.active
        for purpose in lists.purposes.active
        if channel.contact == EMAIL
        or purpose.name in _OFFERED.get(channel.name, _USUAL)
        or channel.name not in shipped[0]
        or purpose.name not in shipped[1]
    }


def target_groups(context: Context, used: Iterable[str] = ()) -> Targets:
    """Groups of (to, label) for the select boxes; ``used`` targets that are in no group come last."""
    # An e-mail or phone column fills the attribute and identifies; these only identify.
    further = {"email": "Further e-mail", "phone": "Further phone"}
    identifiers = [
        (canonical_target(f"identifier.{spec.name}"), further.get(spec.name) or spec.label or spec.name)
        for spec in context.identifiers
    ]
    consents = consent_targets(context.consents)
    parts = [
        (f"{to}.{part}", f"{label}, {part_label}")
        for to, label in consents.items()
        for part, part_label in _CONSENT_PARTS.items()
    ]
    custom = [(f"attributes.{spec.name}", spec.label or spec.name) for spec in context.attributes]
    groups = [
        ("Person", [("full_name", "Whole name (is split)"), *LABELS.items()]),
        ("Identifiers", [("reference_id", "Reference id (letters and digits)"), *identifiers]),
        ("Custom attributes", custom),
        ("Tags", [("tags", "Tags")]),
        ("Consent", [*consents.items(), *parts]),
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
