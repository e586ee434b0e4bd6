"""The types a tracking item goes through: raw JSON → Item or RefusedItem → ItemResult."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from profiles.models import Receipt

KINDS = ("identify", "track", "page", "screen", "group", "alias", "update", "consent")
ItemProblem = dict[str, Any]  # {"pointer", "value", "message", "code"}

APPLIED = Receipt.Outcome.APPLIED.value
MERGED = Receipt.Outcome.MERGED.value
DUPLICATE = Receipt.Outcome.DUPLICATE.value
CONFLICT = Receipt.Outcome.CONFLICT.value
QUARANTINED = Receipt.Outcome.QUARANTINED.value
SUPPRESSED = Receipt.Outcome.SUPPRESSED.value
BLOCKED_VALUE = Receipt.Outcome.BLOCKED_VALUE.value
INVALID = Receipt.Outcome.INVALID.value


# Made for every item of a call. Nobody changes one; freezing it would take three times as long.
@dataclass(slots=True)
class Item:
    """One call, read and in order. Ids are as sent; which profile they resolve to is decided later.

    ``name`` is a track call's event, a page's or screen's name, empty for the rest. ``properties`` is what is
    stored: the properties of events, the traits of identify, update and group. ``message_text`` is the message
    id as sent (or the one made up), ``message_id`` the UUID it is kept as. ``raw`` is the whole item,
    sanitized. ``previous_id`` is alias's, ``group_id`` group's. ``problems`` are values left out on reading.
    """

    index: int
    kind: str
    name: str
    message_id: uuid.UUID
    message_text: str
    user_id: str | None
    anonymous_id: str | None
    previous_id: str | None
    group_id: str | None
    external_ids: tuple[tuple[str, str, bool], ...]  # (type, id, is_verified)
    user_hash: str | None
    properties: dict[str, Any]
    context: dict[str, Any]
    occurred_at: datetime.datetime
    received_at: datetime.datetime
    envelope: dict[str, Any] | None
    raw: dict[str, Any]
    problems: tuple[ItemProblem, ...] = ()

    @property
    def is_retry(self) -> bool:
        """Whether the SDK says that it sends this item again."""
        return "retry" in ((self.envelope or {}).get("marks") or ())

    @property
    def traits(self) -> dict[str, Any]:
        """What the call gives as the profile's attributes: only identify and update do (``context.traits`` does not)."""
        return self.properties if self.kind in ("identify", "update") else {}


@dataclass(frozen=True, slots=True)
class RefusedItem:
    """One item that is not carried out, with why; ``raw`` is kept for the inbox (None when it was not JSON)."""

    index: int
    code: str
    message: str
    raw: Any
    kind: str = ""
    name: str = ""
    message_text: str = ""
    outcome: str = INVALID
    problems: tuple[ItemProblem, ...] = ()

    @classmethod
    def of(
        cls,
        item: Item,
        code: str,
        message: str,
        *,
        outcome: str = INVALID,
        problems: Iterable[ItemProblem] = (),
    ) -> RefusedItem:
        """An item that was read and is refused for its content."""
        return cls(
            item.index,
            code,
            message,
            item.raw,
            item.kind,
            item.name,
            item.message_text,
            outcome,
            tuple(problems),
        )


BatchEntry = Item | RefusedItem


# Made for every item of a call. Nobody changes one; freezing it would take three times as long.
@dataclass(slots=True)
class ItemResult:
    """What became of one item. ``profile_id`` is the surviving profile it is on, for those carried out.

    ``problems`` are why it was refused, or what of it was left out.
    """

    index: int
    message_id: str
    outcome: str
    code: str = ""
    message: str = ""
    profile_id: int | None = None
    problems: list[ItemProblem] = field(default_factory=list)

    @classmethod
    def of(cls, refused: RefusedItem) -> ItemResult:
        result = cls(refused.index, refused.message_text, refused.outcome, refused.code, refused.message)
        result.problems = list(refused.problems)
        return result

    @property
    def is_rejected(self) -> bool:
        return self.outcome in (QUARANTINED, BLOCKED_VALUE, INVALID)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """A whole call's results, in the order of its items."""

    results: list[ItemResult] = field(default_factory=list)

    def count(self, *outcomes: str) -> int:
        return sum(result.outcome in outcomes for result in self.results)
