"""Two locked rows → a ``MergePlan``: what their merge changes and records, before anything is written.

Pure, no query in here. The single merge and a batch of thousands make their rows of the same plan.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from cdp.actors import Actor
from profiles.journal import Cause, Entry
from profiles.models import Change, Merge, Profile, Source
from profiles.values.merged_fields import (
    SEEN,
    FieldOutcome,
    Values,
    changed,
    merged_values,
    put_values,
    row_values,
    stored,
    stored_value,
)


@dataclass(frozen=True, slots=True)
class MergePlan:
    """What changes on the winner, and what is written about it.

    ``fields`` is ``{field: [old, new]}`` on the winner, first and last visit among it; ``outcomes`` says of every field
    how its value came about; ``rules`` are the attributes' own merge rules; ``columns`` are those of the winner's row
    to save.
    """

    winner_id: int
    loser_id: int
    choices: dict[str, str]
    rules: dict[str, str]
    moved: dict[str, int]
    winner_before: Values
    loser_before: Values
    outcomes: dict[str, FieldOutcome]
    fields: dict[str, list[Any]]
    columns: list[str]

    @property
    def journal_fields(self) -> dict[str, list[Any]]:
        """The changes the journal names; first and last visit are in its detail."""
        return {key: change for key, change in self.fields.items() if key not in SEEN}

    def merge_row(self, *, actor: Actor, source: Source, cause: Cause, job_id: int | None = None) -> Merge:
        """The row of ``Merge``, not saved."""
        return Merge(
            loser_id=self.loser_id,
            winner_id=self.winner_id,
            choices=self.choices,
            rules=self.rules,
            before=stored({key: old for key, (old, _) in self.fields.items()}),
            after=stored({key: new for key, (_, new) in self.fields.items()}),
            moved=self.moved,
            user_id=actor.user_id,
            key_id=actor.key_id,
            source=source,
            cause=cause.kind,
            cause_id=cause.id,
            job_id=job_id,
        )

    def journal_entries(self, merge_id: int, line_no: int | None = None) -> list[Entry]:
        """One entry on each side. The winner's marks the position of the merge in the journal."""
        cause = Cause(Change.Cause.MERGE, merge_id, line_no)
        detail = {"merge_id": merge_id, "moved": self.moved}
        visits = {
            key: [stored_value(self.winner_before[key]), stored_value(self.outcomes[key].value)]
            for key in SEEN
        }
        on_winner = {**detail, "loser_id": self.loser_id, "seen": visits}
        on_loser = {**detail, "winner_id": self.winner_id}
        kind = Change.Kind.MERGED
        return [
            Entry(self.winner_id, kind, self.journal_fields, detail=on_winner, cause=cause),
            Entry(self.loser_id, kind, {}, detail=on_loser, cause=cause),
        ]

    def audit_detail(self, merge_id: int) -> dict[str, Any]:
        """The audit log's detail; its subject is the winner."""
        return {
            "merge_id": merge_id,
            "loser_id": self.loser_id,
            "fields": sorted(self.journal_fields),
            "moved": self.moved,
        }

    def webhook_payload(self, merge_id: int) -> dict[str, Any]:
        """The payload of ``profile.merged``."""
        return {
            "merge_id": merge_id,
            "winner_id": self.winner_id,
            "loser_id": self.loser_id,
            "moved": self.moved,
        }


def plan_merge(
    winner: Profile,
    loser: Profile,
    choices: Mapping[str, str],
    moved: dict[str, int],
    *,
    rules: Mapping[str, str],
    newer_on_loser: Collection[str] = (),
) -> MergePlan:
    """Put the merged view on the winner's instance, which is not saved.

    ``rules`` are the merge rules of attributes that both may have; ``newer_on_loser`` the fields of which the loser
    has the newer value.
    """
    winner_before, loser_before = row_values(winner), row_values(loser)
    both = {key: rule for key, rule in rules.items() if key in winner_before and key in loser_before}
    outcomes = merged_values(winner_before, loser_before, choices, rules=both, newer_on_loser=newer_on_loser)
    fields = changed(winner_before, {key: outcome.value for key, outcome in outcomes.items()})
    columns = put_values(winner, {key: new for key, (_, new) in fields.items()})
    # Recognized by a main identifier on any member; each root knows that of its own members.
    winner.is_recognized = winner.is_recognized or loser.is_recognized
    winner.version += 1
    winner.updated_at = timezone.now()
    columns = [*columns, "is_recognized", "version", "updated_at"]
    return MergePlan(
        winner_id=winner.pk,
        loser_id=loser.pk,
        choices=dict(choices),
        rules=both,
        moved=moved,
        winner_before=winner_before,
        loser_before=loser_before,
        outcomes=outcomes,
        fields=fields,
        columns=columns,
    )
