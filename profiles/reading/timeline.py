"""A profile → everything that happened to it, newest first: events, the journal, notes, messages.

One keyset over the union of four tables and all members of the profile. Each table gives at most a page
per member through its own (profile, time) index, so the cost does not grow with the history's length.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from cdp.errors import Invalid
from profiles import sql
from profiles.models import Change, Event, Message, Note

PAGE = 30

EVENT, CHANGE, NOTE, MESSAGE = "event", "change", "note", "message"
KINDS = (EVENT, CHANGE, NOTE, MESSAGE)
# What the chips of the card offer; “merge” is the part of the journal about merging.
CHOICES = {
    "": KINDS,
    EVENT: (EVENT,),
    CHANGE: (CHANGE,),
    "merge": (CHANGE,),
    NOTE: (NOTE,),
    MESSAGE: (MESSAGE,),
}

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)

Row = Event | Change | Note | Message


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One thing that happened. ``row`` is the Event, Change, Note or Message with what it shows joined in."""

    kind: str
    id: int
    at: datetime.datetime
    profile_id: int
    row: Any

    @property
    def cursor(self) -> str:
        return f"{(self.at - _EPOCH) // _MICROSECOND}.{KINDS.index(self.kind)}.{self.id}"


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """``older`` is the cursor of the next page, empty when this is the last."""

    items: list[TimelineItem]
    older: str = ""


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the union: where its rows are and in which order ties at the same instant come."""

    name: str
    at: str
    where: str = ""


_TABLES = {
    EVENT: _Table("profiles_event", "occurred_at"),
    CHANGE: _Table("profiles_change", "at"),
    NOTE: _Table("profiles_note", "created_at"),
    MESSAGE: _Table("profiles_message", "created_at"),
}

_NOT_THE_LOSERS = (
    "NOT (t.profile_id <> %(root)s AND t.kind IN ('merged', 'unmerged')"
    " AND (t.detail ->> 'side' = 'loser' OR (t.kind = 'merged' AND t.detail -> 'winner_id' IS NOT NULL)))"
)

# Time, index of the table in KINDS, id.
_Cursor = tuple[datetime.datetime, int, int]


def timeline(
    root_id: int,
    *,
    kind: str = "",
    name: str = "",
    source: str = "",
    older_than: str = "",
    limit: int = PAGE,
) -> TimelinePage:
    """A page of the profile's history. At most five queries.

    ``kind``: a key of CHOICES (empty for all). ``name``: only events of this name. ``source``: only what came
    through the source of this name. ``older_than``: a page's ``older``. Raises Invalid for an unknown kind
    or a broken cursor.
    """
    if kind not in CHOICES:
        known = ", ".join(key for key in CHOICES if key)
        raise _invalid("kind", kind, f"“{kind}” is not a kind of entry. Known kinds: {known}.")
    kinds = (EVENT,) if name else CHOICES[kind]
    if name and kind not in ("", EVENT):
        return TimelinePage([])
    if source:
        # Notes and messages are written by staff in this very admin; they carry no source of their own.
        kinds = tuple(kept for kept in kinds if kept in (EVENT, CHANGE))
    params: dict[str, Any] = {"root": root_id, "limit": limit + 1, "name": name, "source": source}
    keys = _keys(kinds, kind == "merge", params, _parse(older_than)) if kinds else []
    rows = _load(keys[:limit])
    items = [TimelineItem(*key, rows[key[0]][key[1]]) for key in keys[:limit] if key[1] in rows[key[0]]]
    return TimelinePage(items, items[-1].cursor if len(keys) > limit and items else "")


def event_names(root_id: int, *, limit: int = 50) -> list[str]:
    """Names of the profile's events, for the filter; reads one index entry per name and member."""
    statement = f"""
        WITH RECURSIVE members AS ({sql.members("%(root)s")}),
        seen (profile_id, name_id) AS (
            SELECT m.id, (SELECT min(e.name_id) FROM profiles_event e WHERE e.profile_id = m.id) FROM members m
            UNION ALL
            SELECT s.profile_id, (SELECT min(e.name_id) FROM profiles_event e
                                  WHERE e.profile_id = s.profile_id AND e.name_id > s.name_id)
            FROM seen s WHERE s.name_id IS NOT NULL
        )
        SELECT DISTINCT n.name FROM seen s JOIN profiles_eventname n ON n.id = s.name_id ORDER BY 1 LIMIT %(limit)s
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, {"root": root_id, "limit": limit})
        return [row[0] for row in cursor.fetchall()]


def _keys(
    kinds: Sequence[str], only_merges: bool, params: dict[str, Any], after: _Cursor | None
) -> list[tuple[str, int, datetime.datetime, int]]:
    """(kind, id, at, profile) of a page and one more, newest first. One query."""
    branches = []
    for kind in kinds:
        table, rank = _TABLES[kind], KINDS.index(kind)
        conditions = [f"t.profile_id = m.id{_after(table.at, rank, after)}"]
        if kind == EVENT and params["name"]:
            conditions.append("t.name_id = (SELECT id FROM profiles_eventname WHERE name = %(name)s)")
        if kind == CHANGE:
            # A merge writes to both journals; the timeline has it once, from the survivor's side.
            conditions.append(_NOT_THE_LOSERS)
        if kind == CHANGE and only_merges:
            conditions.append("t.kind IN ('merged', 'unmerged')")
        if params["source"]:
            conditions.append("t.source_id IN (SELECT id FROM profiles_source WHERE name = %(source)s)")
        branches.append(
            f"(SELECT {rank} AS rank, t.id, t.{table.at} AS at FROM {table.name} t"
            f" WHERE {' AND '.join(conditions)} ORDER BY t.{table.at} DESC, t.id DESC LIMIT %(limit)s)"
        )
    statement = (
        f"SELECT x.rank, x.id, x.at, m.id FROM {sql.PROFILES} m"
        f" CROSS JOIN LATERAL ({' UNION ALL '.join(branches)}) x"
        " WHERE m.canonical_id = %(root)s ORDER BY x.at DESC, x.rank, x.id DESC LIMIT %(limit)s"
    )
    if after is not None:
        params = {**params, "at": after[0], "id": after[2]}
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return [(KINDS[rank], pk, at, member) for rank, pk, at, member in cursor.fetchall()]


def _after(column: str, rank: int, after: _Cursor | None) -> str:
    """What comes after the cursor in (time descending, table, id descending), as an index condition."""
    if after is None:
        return ""
    if rank == after[1]:
        return f" AND (t.{column}, t.id) < (%(at)s, %(id)s)"
    return f" AND t.{column} {'<=' if rank > after[1] else '<'} %(at)s"


def _load(keys: Iterable[tuple[str, int, datetime.datetime, int]]) -> dict[str, dict[int, Row]]:
    """The rows with what they show, by table and id. One query per table."""
    ids: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for kind, pk, _, _ in keys:
        ids[kind].append(pk)
    querysets: dict[str, Any] = {
        EVENT: Event.objects.select_related("name", "source"),
        CHANGE: Change.objects.select_related("source", "user", "key"),
        NOTE: Note.objects.select_related("user", "key"),
        MESSAGE: Message.objects.select_related("user", "mail"),
    }
    return {kind: {row.pk: row for row in querysets[kind].filter(pk__in=ids[kind])} for kind in KINDS}


def _parse(cursor: str) -> _Cursor | None:
    if not cursor:
        return None
    try:
        at, rank, pk = (int(part) for part in cursor.split("."))
        return _EPOCH + at * _MICROSECOND, rank, min(pk, 2**63 - 1)
    except (ValueError, OverflowError) as error:
        raise _invalid(
            "older", cursor, "This page link is broken. Start again from the newest entry."
        ) from error


def _invalid(field: str, value: str, message: str) -> Invalid:
    return Invalid([{"field": field, "value": value[:100], "message": message}])
