"""Changes of profiles → rows of the journal, written by whoever made the change in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from cdp import webhooks
from cdp.sql import ask
from profiles.models import Source

if TYPE_CHECKING:
    from cdp.actors import Actor

Fields = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a change happened: ``kind`` of Change.Cause, the row of that table, and the number of the file's line if any."""

    kind: str = "request"
    id: int | None = None
    line_no: int | None = None


REQUEST = Cause()


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation on one profile, before it is written; ``cause`` where it is not that of all entries."""

    profile_id: int
    kind: str
    fields: Fields
    via_id: int | None = None
    detail: dict[str, Any] | None = None
    cause: Cause | None = None


def record(*, entry: Entry, actor: Actor, source: Source, cause: Cause = REQUEST) -> None:
    """Write one entry. Call inside the transaction that writes the data."""
    record_many(entries=[entry], actor=actor, source=source, cause=cause)


def publish_updated(profile_ids: Iterable[int], fields: Iterable[str]) -> None:
    """Send ``profile.updated`` with the names of the changed fields. One query when no webhook subscribed."""
    names = sorted(fields)
    webhooks.publish_many(
        "profile.updated", items=[(pk, {"profile_id": pk, "fields": names}) for pk in sorted(profile_ids)]
    )


_CHANGES = """
    INSERT INTO profiles_change (profile_id, via_id, kind, source_id, user_id, key_id, cause, cause_id, line, fields,
        detail)
    SELECT profile_id, nullif(via_id, profile_id), kind, %(source)s, %(user)s::bigint, %(key)s::bigint, cause,
        cause_id, line, fields::jsonb, detail::jsonb
    FROM unnest(%(profile)b::bigint[], %(via)b::bigint[], %(kind)b::text[], %(cause)b::text[], %(cause_id)b::bigint[],
        %(line)b::int[], %(fields)b::text[], %(detail)b::text[])
        AS c (profile_id, via_id, kind, cause, cause_id, line, fields, detail)
"""


def record_many(*, entries: Iterable[Entry], actor: Actor, source: Source, cause: Cause = REQUEST) -> None:
    """The bulk twin of ``record``: one INSERT for all entries."""
    rows = list(entries)
    if not rows:
        return
    causes = [entry.cause or cause for entry in rows]
    ask(
        _CHANGES,
        {
            "source": source.pk,
            "user": actor.user_id,
            "key": actor.key_id,
            "profile": [entry.profile_id for entry in rows],
            "via": [entry.via_id for entry in rows],
            "kind": [str(entry.kind) for entry in rows],
            "cause": [str(reason.kind) for reason in causes],
            "cause_id": [reason.id for reason in causes],
            "line": [reason.line_no for reason in causes],
            "fields": [orjson.dumps(entry.fields, default=str).decode() for entry in rows],
            "detail": [
                None if entry.detail is None else orjson.dumps(entry.detail, default=str).decode()
                for entry in rows
            ],
        },
    )
