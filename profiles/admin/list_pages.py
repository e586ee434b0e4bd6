"""Profiles of a list → one page by keyset: newest first, or last seen first with those never seen at the end."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from profiles.models import Profile

PAGE = 50

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_NEVER = "never"


@dataclass(frozen=True, slots=True)
class Page:
    """``newer`` and ``older`` are cursors, empty where the list ends."""

    rows: list[Profile]
    newer: str = ""
    older: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a row stands: its id, and when it was last seen (None: never)."""

    pk: int
    seen_at: datetime.datetime | None = None


def page_of(
    profiles: QuerySet[Profile], *, sort: str, after: str = "", before: str = "", size: int = PAGE
) -> Page:
    """One page. A broken cursor counts as none. One query; by last seen two where seen and never seen meet."""
    is_back, position = bool(before), _parse(before or after)
    rows_read = _walk(profiles, sort, position, is_back=is_back, limit=size + 1)
    has_more, rows = len(rows_read) > size, rows_read[:size]
    if is_back:
        rows.reverse()
    if not rows:
        return Page([])
    newer = cursor(rows[0], sort) if (has_more if is_back else position) else ""
    older = cursor(rows[-1], sort) if (has_more or is_back) else ""
    return Page(rows, newer, older)


def cursor(row: Profile, sort: str) -> str:
    if sort != "seen":
        return str(row.pk)
    seen = _NEVER if row.last_seen_at is None else str((row.last_seen_at - _EPOCH) // _MICROSECOND)
    return f"{seen}.{row.pk}"


def _parse(text: str) -> Position | None:
    seen, _, pk = text.rpartition(".")
    try:
        at = None if seen in ("", _NEVER) else _EPOCH + int(seen) * _MICROSECOND
        return Position(min(int(pk), 2**63 - 1), at)
    except (ValueError, OverflowError):
        return None


def _walk(
    profiles: QuerySet[Profile], sort: str, position: Position | None, *, is_back: bool, limit: int
) -> list[Profile]:
    if sort != "seen":
        return _by_id(profiles, position, is_back, limit)
    seen, never = profiles.filter(last_seen_at__isnull=False), profiles.filter(last_seen_at__isnull=True)
    starts_never = position is not None and position.seen_at is None
    if is_back:
        rows = _by_id(never, position, True, limit) if starts_never else []
        return rows + _by_seen(seen, None if starts_never else position, True, limit - len(rows))
    rows = [] if starts_never else _by_seen(seen, position, False, limit)
    if len(rows) < limit:
        rows += _by_id(never, position if starts_never else None, False, limit - len(rows))
    return rows


def _by_id(
    profiles: QuerySet[Profile], position: Position | None, is_back: bool, limit: int
) -> list[Profile]:
    if position is not None:
        profiles = profiles.filter(pk__gt=position.pk) if is_back else profiles.filter(pk__lt=position.pk)
    return list(profiles.order_by("pk" if is_back else "-pk")[:limit]) if limit else []


def _by_seen(
    profiles: QuerySet[Profile], position: Position | None, is_back: bool, limit: int
) -> list[Profile]:
    if limit <= 0:
        return []
    side = "gt" if is_back else "lt"
    if position is not None and position.seen_at is not None:
        # The first condition is what the index is entered with; the rest settles equal times.
        beyond: Any = {f"last_seen_at__{side}e": position.seen_at}
        tie = Q(**{f"last_seen_at__{side}": position.seen_at}) | Q(**{f"pk__{side}": position.pk})
        profiles = profiles.filter(tie, **beyond)
    order = ("last_seen_at", "pk") if is_back else ("-last_seen_at", "-pk")
    return list(profiles.order_by(*order)[:limit])
