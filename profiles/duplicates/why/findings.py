"""The data types of this room: what is read about two profiles, and the findings and fixes that come of it.
Pure.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from profiles.identity.types import TypeSpec
from profiles.models import IdentifierType, Profile

# How a value is stored, the strongest first. Only the first two resolve to a profile.
HARD, SOFT = "hard_identifier", "soft_identifier"
PENDING, CONTACT = "pending_identifier", "contact_value"
ATTRIBUTE, PROPERTY = "attribute", "event_property"
# Findings without a value: a decision, a lock, nothing.
DECISION, LOCK, NOWHERE = "decision", "lock", ""
STRENGTH = {HARD: 5, SOFT: 5, PENDING: 4, CONTACT: 3, ATTRIBUTE: 2, PROPERTY: 1}
STORED_AS_LABELS = {
    HARD: "hard identifier",
    SOFT: "soft identifier",
    PENDING: "identifier waiting for confirmation",
    CONTACT: "contact value",
    ATTRIBUTE: "attribute",
    PROPERTY: "event property",
    DECISION: "decision",
    LOCK: "lock",
    NOWHERE: "",
}

# The fix that decides that two are not duplicates.
KEEP_APART = "keep_apart"

# Headings of findings, by code.
TITLES = {
    "update_not_identify": "Sent by update instead of identify",
    "identifier_in_event": "An identifier in an event",
    "import_column_attribute": "A column mapped to an attribute",
    "id_in_attributes": "An identifier among the attributes",
    "id_in_soft_id": "An identifier sent as a browser's id",
    "pending_identifier": "Waits for confirmation",
    "email_contact_only": "An e-mail that identifies nobody here",
    "identifier_clash": "Identified another person when it arrived",
    "unsigned_user_id": "A userId without a signature",
    "email_case": "One e-mail, upper and lower case",
    "email_as_other_id": "One e-mail, two types of identifier",
    "phone_format": "One phone number, two formats",
    "contact_type": "A value that several people may share",
    "email_changed": "Another e-mail, and no permanent id",
    "shared_device": "A browser several people use",
    "held_join": "A waiting merge",
    "browsers_never_identified": "Two browsers, never identified",
    "browser_never_identified": "A browser that was never identified",
    "row_without_identifier": "A row without an identifier",
    "made_without_identifier": "Created without an identifier",
    "different_ids": "Two different ids",
    "veto": "A difference that rules out one person",
    "locked": "Locked",
    "decided_apart": "Decided: not duplicates",
    "by_third": "Both are probably a third profile",
    "nothing_links": "Nothing links them",
}

# (identifier type, value) → the value as it may be displayed.
DisplayValue = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class ValueOrigin:
    """Who wrote a value and how.

    ``channel`` is the source's; ``call`` and ``event`` are kind and name of a tracking call, with its ids;
    ``file`` and ``row`` belong to an import; ``author`` is a login or (``is_key``) the name of an API key.
    """

    at: datetime.datetime | None
    source: str
    channel: str
    source_id: int = 0
    cause: str = "request"
    author: str = ""
    is_key: bool = False
    call: str = ""
    event: str = ""
    user_id: str = ""
    anonymous_id: str = ""
    sent: Any = None
    import_id: int | None = None
    file: str = ""
    row: int | None = None
    mapping: dict[str, Any] = field(default_factory=dict)
    identifies_by_email: bool = True
    needs_confirmation: bool = False

    def column_to(self, *targets: str) -> str:
        """The import's column that is mapped to one of these targets, or ""."""
        for column, entry in self.mapping.items():
            target = (
                entry if isinstance(entry, str) else entry.get("to", "") if isinstance(entry, dict) else ""
            )
            if target in targets:
                return column
        return ""

    @property
    def is_tracked(self) -> bool:
        return bool(self.call)


@dataclass(frozen=True, slots=True)
class ValueTrace:
    """One place where a value of one profile is stored.

    ``type`` and ``value`` are the identifier it reads as (normalized), ``raw`` is what was written.
    ``location`` is an identifier's type, a journal key (``email``, ``attributes.crm_id``) or a pointer
    (``/properties/mail``).
    """

    root_id: int
    member_id: int
    type: str
    value: str
    raw: str
    stored_as: str
    location: str
    origin: ValueOrigin | None = None
    is_verified: bool = False

    @property
    def is_in_soft_id(self) -> bool:
        """Whether this is an e-mail or id that was sent as a browser's id."""
        return self.stored_as == SOFT and self.location != self.type

    @property
    def resolves(self) -> bool:
        """Whether the value leads to the profile as what it is."""
        return self.stored_as in (HARD, SOFT) and not self.is_in_soft_id


@dataclass(slots=True)
class ProfileTraces:
    """One of the two surviving profiles, its traces, and what created it."""

    root: Profile
    traces: list[ValueTrace] = field(default_factory=list)
    created_by: ValueOrigin | None = None

    @property
    def id(self) -> int:
        return self.root.pk

    def stored_as(self, *kinds: str) -> list[ValueTrace]:
        return [trace for trace in self.traces if trace.stored_as in kinds]

    def of_type(self, name: str) -> list[str]:
        """The values of one type that resolve to this profile."""
        return [trace.value for trace in self.traces if trace.resolves and trace.location == name]


@dataclass(frozen=True, slots=True)
class BrowserHandover:
    """A soft identifier that both profiles had in turn, or that was kept from merging them.

    ``kind``: hands (it changed hands), held (the circuit breaker holds the merge), shared (marked as a
    shared device).
    """

    type: str
    value: str
    kind: str
    first_id: int
    then_id: int
    at: datetime.datetime | None
    source: str = ""
    profile_count: int = 0
    held_merge_id: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """What a person or the comparison decided about the two."""

    verdict: str
    decider: str
    at: datetime.datetime | None
    veto: str = ""
    rule: str = ""
    via_id: int | None = None


@dataclass(slots=True)
class PairHistory:
    """Everything read about two profiles; findings are derived from it alone."""

    a: ProfileTraces
    b: ProfileTraces
    types: dict[str, TypeSpec]
    handovers: list[BrowserHandover] = field(default_factory=list)
    decisions: list[RecordedDecision] = field(default_factory=list)
    # The sentences of vetoes, by code.
    vetoes: dict[str, str] = field(default_factory=dict)
    region: str = ""
    base_url: str = ""

    @property
    def sides(self) -> tuple[ProfileTraces, ProfileTraces]:
        return (self.a, self.b)

    def side(self, root_id: int) -> ProfileTraces:
        return self.a if root_id == self.a.id else self.b

    def other(self, root_id: int) -> ProfileTraces:
        return self.b if root_id == self.a.id else self.a

    def is_soft(self, name: str) -> bool:
        spec = self.types.get(name)
        return spec is not None and spec.row.strength == IdentifierType.Strength.SOFT

    def label(self, name: str) -> str:
        """“E-mail”, “Customer id”."""
        spec = self.types.get(name)
        return str(spec.row) if spec else name


@dataclass(frozen=True, slots=True)
class SharedValue:
    """The same value at both profiles. ``weaker`` is where it does not resolve; ``stronger`` the other
    place.
    """

    type: str
    value: str
    weaker: ValueTrace
    stronger: ValueTrace


@dataclass(frozen=True, slots=True)
class SourceFix:
    """What to change at the source; ``code`` is to be copied, ``language`` shell, javascript or json."""

    text: str
    language: str = ""
    code: str = ""
    import_id: int | None = None


@dataclass(frozen=True, slots=True)
class Fix:
    """What fixes the data (``code``, ``text``; ``merges``: the two are one afterwards), and the ``source``."""

    code: str
    text: str
    merges: bool
    source: SourceFix | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason why two profiles are separate.

    ``value`` as it may be displayed; ``type`` and ``raw`` are for carrying out the fix and are never
    displayed. ``source``, ``via`` and ``at`` say who wrote it, how, and when.
    """

    code: str
    text: str
    value: str = ""
    stored_as: str = NOWHERE
    profile_id: int | None = None
    source: str = ""
    via: str = ""
    at: datetime.datetime | None = None
    fix: Fix | None = None
    type: str = ""
    raw: str = ""
    member_id: int | None = None
    held_merge_id: int | None = None
    import_id: int | None = None
    # What else may be right, the less likely answer: of two at one browser they may be one after all.
    alternative: Fix | None = None

    @property
    def fixes(self) -> list[Fix]:
        """Every fix that is offered, the likeliest first."""
        return [fix for fix in (self.fix, self.alternative) if fix is not None]

    def fix_with(self, code: str) -> Fix | None:
        """The offered fix with this code."""
        return next((fix for fix in self.fixes if fix.code == code), None)

    @property
    def title(self) -> str:
        return TITLES[self.code]

    @property
    def stored_as_label(self) -> str:
        return STORED_AS_LABELS[self.stored_as]
