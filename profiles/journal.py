"""The journal's verbs: every change of a person is told here by whoever made it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from profiles.models import Change, Source

if TYPE_CHECKING:
    from cdp.actors import Actor

Fields = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a change happened: ``kind`` of Change.Cause, the row of that table, and the file's line if any."""

    kind: str = "request"
    id: int | None = None
    line: int | None = None


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


def record(*, entry: Entry, actor: Actor, source: Source, cause: Cause = REQUEST) -> Change:
    """Write one entry. Call inside the transaction that writes the data."""
    return record_many(entries=[entry], actor=actor, source=source, cause=cause)[0]


def record_many(
    *, entries: Iterable[Entry], actor: Actor, source: Source, cause: Cause = REQUEST
) -> list[Change]:
    """The bulk twin of ``record``: one INSERT for all entries."""
    return Change.objects.bulk_create(
        [
            Change(
                profile_id=entry.profile_id,
                via_id=entry.via_id if entry.via_id != entry.profile_id else None,
                kind=entry.kind,
                source=source,
                user_id=actor.user_id,
                key_id=actor.key_id,
                cause=(entry.cause or cause).kind,
                cause_id=(entry.cause or cause).id,
                line=(entry.cause or cause).line,
                fields=entry.fields,
                detail=entry.detail,
            )
            for entry in entries
        ],
        batch_size=5000,
    )
