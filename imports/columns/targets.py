"""A `to` of the HTTP API (`email`, `attributes.plan`, `identifier.loyalty_card` …) → the target of a column."""

import re
from dataclasses import dataclass, field
from difflib import get_close_matches

from profiles.consent.words import SHIPPED, ConsentLists
from profiles.identity.normalize import (
    DEFAULT_KINDS,
    MAX_TEXT,
)
from profiles.identity.presets import CONTACTS

# How a value meets one that is there. An empty cell keeps what is there, whatever the policy.
FILL, OVERWRITE, APPEND, NEVER = "fill_if_empty", "overwrite", "append", "never"
POLICIES = {
    FILL: "Fill if empty",
    OVERWRITE: "Overwrite",
    APPEND: "Append",
    NEVER: "New people only",
}

# The text attribute that keeps a birthday without a year, as MM-DD.
BIRTHDAY = "birthday"

# What a cell that cannot be read does, where it is not one that finds people.
LEAVE_OUT_CELL, REJECT_ROW = "leave_out", "reject_row"
BAD_CELLS = {
    LEAVE_OUT_CELL: "Leave out the cell, import the rest of the row and list the cell",
    REJECT_ROW: "Reject the whole row",
}

# Where a phone number without a country code is at home: a country's code, or one of these. “row:DE” is the country
# of the row, and Germany where the row has none.
COUNTRY_OF_ROW, WITHOUT_PLUS = "row", "international"


@dataclass(frozen=True, slots=True)
class AttributeSpec:
    """A custom attribute: `type` is one of text, number, boolean, date, datetime, choice, list."""

    name: str
    type: str = "text"
    allowed: tuple[str, ...] = ()
    label: str = ""
    limit: int = MAX_TEXT


@dataclass(frozen=True, slots=True)
class IdentifierSpec:
    """An identifier type; its own `blocked_exact` in lower case, `blocked_patterns` as regular expressions."""

    name: str
    normalizer: str = "exact"
    is_unique: bool = True
    is_hard: bool = True
    priority: int = 10
    max_per_profile: int | None = None
    blocked_exact: frozenset[str] = frozenset()
    blocked_patterns: tuple[str, ...] = ()
    label: str = ""


# The shipped types, for use without a database.
DEFAULT_IDENTIFIERS = (
    IdentifierSpec("customer_id", priority=1, max_per_profile=1),
    IdentifierSpec("email", "email", priority=2),
    IdentifierSpec("phone", "phone", is_unique=False, priority=5),
    IdentifierSpec("anonymous_id", is_hard=False, priority=9),
)


@dataclass(frozen=True, slots=True)
class Context:
    """What a column can go to in this installation, as plain values: no database is needed."""

    attributes: tuple[AttributeSpec, ...] = ()
    identifiers: tuple[IdentifierSpec, ...] = DEFAULT_IDENTIFIERS
    region: str = ""  # the country of phone numbers without a country code
    clear_marker: str = "<clear>"  # a cell with just this empties the field; "" = no such cell
    digit_marks: bool = True  # an apostrophe before digits is no part of an id or postcode
    empty_words: bool = True  # NULL, n/a and #N/A are read as an empty cell
    date_order: str = ""  # dmy or mdy; "" = only dates that can be read in one way
    phone_country: str = ""  # of this file instead of `region`: a country's code, row, row:DE, international
    bad_cells: str = LEAVE_OUT_CELL
    consents: ConsentLists = SHIPPED  # the channels and purposes a consent can be about
    attribute_by_name: dict[str, AttributeSpec] = field(init=False, repr=False, compare=False)
    identifier_by_name: dict[str, IdentifierSpec] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attribute_by_name", {spec.name: spec for spec in self.attributes})
        object.__setattr__(self, "identifier_by_name", {spec.name: spec for spec in self.identifiers})


class UnknownTarget(ValueError):
    """There is no such target. `message` is a sentence."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed `to`. `field` is the key a value has in `Cleaned.values`, "" for what is no value."""

    to: str
    kind: str  # default, full_name, attribute, identifier, tags, consent, ignore
    name: str = ""  # attribute, identifier type, or "channel.purpose"
    part: str = ""  # of a consent: state, at, withdrawn_at, proof; of an identifier: reference

    @property
    def field(self) -> str:
        if self.kind == "default":
            return self.name
        return f"attributes.{self.name}" if self.kind == "attribute" else ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields a cell of the column fills."""
        if self.kind == "full_name":
            return ("first_name", "last_name")
        return (self.field,) if self.field else ()

    @property
    def identifier(self) -> str:
        """The identifier type of this column's cells, "" for none: e-mail and phone are attributes as well."""
        if self.kind == "identifier" or (self.kind == "default" and self.name in CONTACTS):
            return self.name
        return ""

    @property
    def is_single(self) -> bool:
        """Whether two columns cannot both go here."""
        return self.kind in ("default", "full_name", "attribute", "consent")


_CONSENT = re.compile(r"consent\.([^.]+)\.([^.]+?)(?:\.(at|withdrawn_at|proof))?")


def parse_target(to: str, context: Context) -> Target:
    """Raises `UnknownTarget` with what to do for a target this installation does not have."""
    if to in ("ignore", "tags"):
        return Target(to, to)
    if to in DEFAULT_KINDS:
        return Target(to, "default", to)
    if to == "full_name":
        return Target(to, to)
    if to in ("reference_id", "customer_id"):
        return _identifier(to, "customer_id", "reference" if to == "reference_id" else "", context)
    prefix, _, name = to.partition(".")
    if prefix == "identifier" and name:
        return _identifier(to, name, "", context)
    if prefix == "attributes" and name:
        if name in context.attribute_by_name:
            return Target(to, "attribute", name)
        raise UnknownTarget(f"There is no attribute “{name}”. Create it first, or choose another target.")
    if match := _CONSENT.fullmatch(to):
        return _consent(match[1], match[2], match[3] or "state", context)
    if prefix == "consent":
        raise UnknownTarget(
            "A consent is written consent.channel.purpose, for example consent.email.newsletter."
        )
    raise UnknownTarget(_unknown(to, context))


def _consent(channel: str, purpose: str, part: str, context: Context) -> Target:
    """In any spelling of the channel and purpose, and by their names from then on."""
    names = []
    for words, raw in ((context.consents.channels, channel), (context.consents.purposes, purpose)):
        word = words.find(raw)
        if word is None or word.is_archived:
            raise UnknownTarget(words.unknown(raw))
        names.append(word.name)
    name = ".".join(names)
    return Target(f"consent.{name}" + ("" if part == "state" else f".{part}"), "consent", name, part)


def _identifier(to: str, name: str, part: str, context: Context) -> Target:
    if name not in context.identifier_by_name:
        raise UnknownTarget(
            f"There is no identifier type “{name}”. Create it first, or choose another target."
        )
    return Target(to, "identifier", name, part)


def _unknown(to: str, context: Context) -> str:
    known = [*DEFAULT_KINDS, "full_name", "customer_id", "reference_id", "tags", "ignore"]
    known += [f"attributes.{name}" for name in context.attribute_by_name]
    known += [f"identifier.{name}" for name in context.identifier_by_name]
    near = get_close_matches(to, known, 1) or get_close_matches(f"attributes.{to}", known, 1)
    hint = (
        f"Did you mean “{near[0]}”?"
        if near
        else "Use a default attribute, attributes.…, identifier.… or ignore."
    )
    return f"A column cannot go to “{to}”. {hint}"
