"""The merge itself: one code path for the wizard, the API, imports, identify and bulk (M9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from cdp import audit, webhooks
from cdp.actors import Actor
from cdp.errors import Refused, RuleForbids, Stale
from profiles.identity import graph
from profiles.journal import REQUEST, Cause, record_many
from profiles.merging.locking import Sides, check_choices, hold_sides
from profiles.merging.merge_plan import Joined, audited, entries, join, merge_row, published
from profiles.models import Change, Merge, Profile, Source
from profiles.pairs import verdicts
from profiles.values.merged_fields import Outcome, Values

# Doors where nobody looks: what a person decided about a pair binds them (I11).
_BOUND_BY_VERDICTS = frozenset({Change.Cause.IMPORT, Change.Cause.EVENT})


@dataclass(frozen=True, slots=True)
class Merged:
    """``winner`` is the surviving profile after the merge; ``moved`` counts what came over by kind."""

    merge_id: int
    winner: Profile
    winner_id: int
    loser_id: int
    moved: dict[str, int]
    fields: dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Applied:
    """What ``apply_merge`` did, with what a preview shows beside it: both rows before, every outcome."""

    merged: Merged
    winner_before: Values
    loser_before: Values
    outcomes: dict[str, Outcome]
    sides: Sides


@graph.retried
@transaction.atomic
def merge_profiles(
    *,
    winner_id: int,
    loser_id: int,
    choices: Mapping[str, str] | None = None,
    preview_hash: str | None = None,
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
    job_id: int | None = None,
) -> Merged:
    """Join the loser into the winner; ids merged away before stand for their surviving profiles.

    No event, identifier, tag, note or consent is moved: a pointer is, so the cost does not grow with them.
    The winner's row gets the merged view: empty fields filled, lists united, ``choices``
    (``{"first_name": "loser", "attributes.plan": "winner"}``) taken. Everything is undone exactly by
    ``unmerge_profiles``. Raises NotFound; RuleForbids (itself, already one person, locked, deleted or erased,
    for imports and events also a remembered *not a duplicate*); Invalid for a bad choice; Stale when
    ``preview_hash`` is given and either side is no longer what the preview showed.
    """
    applied = apply_merge(
        hold_sides(winner_id, loser_id),
        choices=choices,
        preview_hash=preview_hash,
        actor=actor,
        source=source,
        cause=cause,
        job_id=job_id,
    )
    return applied.merged


def apply_merge(
    sides: Sides,
    *,
    choices: Mapping[str, str] | None = None,
    preview_hash: str | None = None,
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
    job_id: int | None = None,
) -> Applied:
    """Everything a merge does to two held sides; the preview runs it and rolls it back."""
    winner, loser, picked = sides.winner, sides.loser, dict(choices or {})
    check_choices(picked, winner, loser)
    if preview_hash is not None and preview_hash != sides.state:
        raise Stale(
            f"Profile #{winner.pk} or #{loser.pk} changed since the preview. Nothing was merged; look again."
        )
    if cause.kind in _BOUND_BY_VERDICTS and (sentence := verdicts.objection(winner.pk, loser.pk)):
        raise RuleForbids(sentence)
    verdicts.overrule(winner.pk, loser.pk, actor=actor)
    joined = join(winner, loser, picked, sides.moved)
    graph.absorb({loser.pk: winner.pk})
    winner.save(update_fields=joined.columns)
    merge = merge_row(joined, actor=actor, source=source, cause=cause, job_id=job_id)
    merge.save()
    _tell(merge, joined, actor=actor, source=source, line=cause.line)
    merged = Merged(merge.pk, winner, winner.pk, loser.pk, sides.moved, joined.told)
    return Applied(merged, joined.before, joined.other, joined.outcomes, sides)


def _tell(merge: Merge, joined: Joined, *, actor: Actor, source: Source, line: int | None) -> None:
    """Journal on both sides, audit, outbox."""
    record_many(entries=entries(merge.pk, joined, line), actor=actor, source=source)
    subject = f"profile:{joined.winner_id}"
    audit.record("profile.merge", actor=actor, subject=subject, detail=audited(merge.pk, joined))
    payload = published(merge.pk, joined)
    webhooks.publish("profile.merged", profile_id=joined.winner_id, payload=payload)


@dataclass(frozen=True, slots=True)
class ManyMerged:
    """``merged`` in the order asked; ``problem`` is why ``stopped_at`` was refused; ``untouched`` come after."""

    merged: list[Merged] = field(default_factory=list)
    stopped_at: int | None = None
    problem: str = ""
    untouched: list[int] = field(default_factory=list)


def merge_many(
    *,
    winner_id: int,
    loser_ids: Iterable[int],
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
    job_id: int | None = None,
) -> ManyMerged:
    """Several losers into one winner, each a merge of its own; stops at the first that is refused (M7).

    What was merged before the stop stays merged, and is reported.
    """
    losers = list(dict.fromkeys(loser_ids))
    merged: list[Merged] = []
    for place, loser_id in enumerate(losers):
        try:
            done = merge_profiles(
                winner_id=winner_id, loser_id=loser_id, actor=actor, source=source, cause=cause, job_id=job_id
            )
        except Refused as refusal:
            return ManyMerged(merged, loser_id, refusal.message, losers[place + 1 :])
        merged.append(done)
    return ManyMerged(merged)
