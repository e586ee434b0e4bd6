"""What a merge of two held rows does and tells, before anything is written. Pure: no query in here.

The single merge and a batch of thousands make their rows of the same functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from cdp.actors import Actor
from profiles.journal import Cause, Entry
from profiles.models import Change, Merge, Profile, Source
from profiles.values.merged_fields import (
    SEEN,
    Outcome,
    Values,
    changed,
    merged_values,
    put_values,
    row_values,
    stored,
    stored_value,
)


@dataclass(frozen=True, slots=True)
class Joined:
    """``before`` and ``other`` are the winner's and the loser's values before; ``fields`` ``{field: [old, new]}`` is
    what changed on the winner, first and last visit among it; ``columns`` are the columns of its row to save.
    """

    winner_id: int
    loser_id: int
    choices: dict[str, str]
    moved: dict[str, int]
    before: Values
    other: Values
    outcomes: dict[str, Outcome]
    fields: dict[str, list[Any]]
    columns: list[str]

    @property
    def told(self) -> dict[str, list[Any]]:
        """The changes the journal names; visits go along as ``seen``."""
        return {key: pair for key, pair in self.fields.items() if key not in SEEN}

    @property
    def seen(self) -> dict[str, list[Any]]:
        return {key: [stored_value(self.before[key]), stored_value(self.outcomes[key].value)] for key in SEEN}


def join(winner: Profile, loser: Profile, choices: Mapping[str, str], moved: dict[str, int]) -> Joined:
    """Put the merged view on the winner's instance, which is not saved."""
    before, other = row_values(winner), row_values(loser)
    outcomes = merged_values(before, other, choices)
    fields = changed(before, {key: outcome.value for key, outcome in outcomes.items()})
    columns = put_values(winner, {key: new for key, (_, new) in fields.items()})
    # Whoever holds a main identifier on any member is recognized; both roots know it of their own members.
    winner.is_recognized = winner.is_recognized or loser.is_recognized
    winner.version += 1
    winner.updated_at = timezone.now()
    columns = [*columns, "is_recognized", "version", "updated_at"]
    return Joined(winner.pk, loser.pk, dict(choices), moved, before, other, outcomes, fields, columns)


def merge_row(
    joined: Joined, *, actor: Actor, source: Source, cause: Cause, job_id: int | None = None
) -> Merge:
    """The row of ``Merge``, not saved."""
    return Merge(
        loser_id=joined.loser_id,
        winner_id=joined.winner_id,
        choices=joined.choices,
        before=stored({key: old for key, (old, _) in joined.fields.items()}),
        after=stored({key: new for key, (_, new) in joined.fields.items()}),
        moved=joined.moved,
        user_id=actor.user_id,
        key_id=actor.key_id,
        source=source,
        cause=cause.kind,
        cause_id=cause.id,
        job_id=job_id,
    )


def entries(merge_id: int, joined: Joined, line: int | None = None) -> list[Entry]:
    """The journal's entries, one on each side. The winner's marks the merge's place in the journal."""
    why = Cause(Change.Cause.MERGE, merge_id, line)
    detail = {"merge_id": merge_id, "moved": joined.moved}
    winner_id, loser_id = joined.winner_id, joined.loser_id
    on_winner = {**detail, "loser_id": loser_id, "seen": joined.seen}
    return [
        Entry(winner_id, Change.Kind.MERGED, joined.told, detail=on_winner, cause=why),
        Entry(loser_id, Change.Kind.MERGED, {}, detail={**detail, "winner_id": winner_id}, cause=why),
    ]


def audited(merge_id: int, joined: Joined) -> dict[str, Any]:
    """The audit log's detail; its subject is the winner."""
    return {
        "merge_id": merge_id,
        "loser_id": joined.loser_id,
        "fields": sorted(joined.told),
        "moved": joined.moved,
    }


def published(merge_id: int, joined: Joined) -> dict[str, Any]:
    """The payload of ``profile.merged``."""
    return {
        "merge_id": merge_id,
        "winner_id": joined.winner_id,
        "loser_id": joined.loser_id,
        "moved": joined.moved,
    }
