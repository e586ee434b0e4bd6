"""Two profiles → one merge, written: the one code path of the wizard, the API, imports, identify calls and bulk.

``lock_pair`` locks both roots and refuses what no merge may do, ``profiles.merging.merge_plan`` says what changes,
``apply_merge`` writes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from cdp import audit, webhooks
from cdp.actors import Actor
from cdp.errors import Invalid, NotFound, Refused, RuleForbids, Stale
from cdp.sql import run
from profiles import sql
from profiles.identity import graph
from profiles.journal import REQUEST, Cause, record_many
from profiles.merging.merge_plan import MergePlan, plan_merge
from profiles.merging.merge_rules import merge_rules, newer_on_loser
from profiles.models import AttributeDefinition, Change, Merge, Profile, Source
from profiles.pairs import verdicts
from profiles.values.attributes import CUSTOM
from profiles.values.merged_fields import SIDES

# What stays on the member it arrived at, and so comes over with the pointer.
MEMBER_TABLES = {
    "identifiers": "profiles_identifier",
    "tags": "profiles_profiletag",
    "addresses": "profiles_address",
    "consents": "profiles_consent",
    "notes": "profiles_note",
    "messages": "profiles_message",
}
MOVED_KINDS = ("profiles", *MEMBER_TABLES, "events")
# Where nobody looks at the pair: what a person decided about it binds imports and tracking calls.
_BOUND_BY_VERDICTS = frozenset({Change.Cause.IMPORT, Change.Cause.EVENT})

SAME_PROFILE = "A profile cannot be merged into itself."


@dataclass(frozen=True, slots=True)
class LockedPair:
    """Both surviving profiles, locked. ``moved`` counts what the loser brings; ``state_hash`` is of both."""

    winner: Profile
    loser: Profile
    moved: dict[str, int]
    state_hash: str


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
class AppliedMerge:
    """What ``apply_merge`` did, and the plan and pair a preview shows beside it."""

    merged: Merged
    plan: MergePlan
    pair: LockedPair


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
    """Merge the loser into the winner; ids merged away before stand for their surviving profiles.

    No event, identifier, tag, note or consent is moved: a pointer is, so the cost does not grow with them.
    The winner's row gets the merged view: empty fields filled, the attributes' merge rules kept, ``choices``
    (``{"first_name": "loser", "attributes.plan": "winner"}``) taken. Everything is undone exactly by
    ``unmerge_profiles``. Raises NotFound; RuleForbids (itself, merged already, locked, deleted or erased,
    for imports and events also a remembered *not a duplicate*); Invalid for a bad choice; Stale when
    ``preview_hash`` is given and either side is no longer what the preview showed.
    """
    applied = apply_merge(
        lock_pair(winner_id, loser_id),
        choices=choices,
        preview_hash=preview_hash,
        actor=actor,
        source=source,
        cause=cause,
        job_id=job_id,
    )
    return applied.merged


def apply_merge(
    pair: LockedPair,
    *,
    choices: Mapping[str, str] | None = None,
    preview_hash: str | None = None,
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
    job_id: int | None = None,
) -> AppliedMerge:
    """Everything a merge does to a locked pair; the preview runs it and rolls it back."""
    winner, loser, choices = pair.winner, pair.loser, dict(choices or {})
    check_choices(choices, winner, loser)
    if preview_hash is not None and preview_hash != pair.state_hash:
        raise Stale(
            f"Profile #{winner.pk} or #{loser.pk} changed since the preview. Nothing was merged; look again."
        )
    if cause.kind in _BOUND_BY_VERDICTS and (sentence := verdicts.objection(winner.pk, loser.pk)):
        raise RuleForbids(sentence)
    verdicts.overrule(winner.pk, loser.pk, actor=actor)
    rules = merge_rules(winner, loser)
    newer = newer_on_loser(winner, loser, rules)
    plan = plan_merge(winner, loser, choices, pair.moved, rules=rules, newer_on_loser=newer)
    graph.absorb({loser.pk: winner.pk})
    winner.save(update_fields=plan.columns)
    merge = plan.merge_row(actor=actor, source=source, cause=cause, job_id=job_id)
    merge.save()
    _record(merge, plan, actor=actor, source=source, line_no=cause.line_no)
    merged = Merged(merge.pk, winner, winner.pk, loser.pk, pair.moved, plan.journal_fields)
    return AppliedMerge(merged, plan, pair)


def _record(merge: Merge, plan: MergePlan, *, actor: Actor, source: Source, line_no: int | None) -> None:
    """Journal on both sides, audit, outbox."""
    record_many(entries=plan.journal_entries(merge.pk, line_no), actor=actor, source=source)
    subject = f"profile:{plan.winner_id}"
    audit.record("profile.merge", actor=actor, subject=subject, detail=plan.audit_detail(merge.pk))
    webhooks.publish(
        "profile.merged",
        profile_id=plan.winner_id,
        other_id=plan.loser_id,
        payload=plan.webhook_payload(merge.pk),
    )


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
    preview_hash: str | None = None,
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
    job_id: int | None = None,
) -> ManyMerged:
    """Several losers into one winner, each a merge of its own; stops at the first that is refused.

    What was merged before the stop stays merged, and is reported. Raises Stale when ``preview_hash`` is given and any
    of them is no longer what the preview showed; nothing is merged then.
    """
    losers = list(dict.fromkeys(loser_ids))
    if preview_hash is not None:
        with transaction.atomic():
            if hash_of_many(winner_id, losers) != preview_hash:
                raise Stale(
                    "One of these profiles changed since the preview. Nothing was merged; look again."
                )
    merged: list[Merged] = []
    for position, loser_id in enumerate(losers):
        try:
            merge = merge_profiles(
                winner_id=winner_id, loser_id=loser_id, actor=actor, source=source, cause=cause, job_id=job_id
            )
        except Refused as refusal:
            return ManyMerged(merged, loser_id, refusal.message, losers[position + 1 :])
        merged.append(merge)
    return ManyMerged(merged)


def hash_of_many(winner_id: int, loser_ids: Iterable[int]) -> str:
    """The state of a winner and several losers, for their preview; locks them until the transaction ends."""
    states = []
    for loser_id in loser_ids:
        try:
            states.append(lock_pair(winner_id, loser_id).state_hash)
        except Refused as refusal:
            states.append(refusal.message)
    return hashlib.sha256(json.dumps([winner_id, states]).encode()).hexdigest()


# --- Locking the pair -----------------------------------------------------------------------------------


def lock_pair(winner_id: int, loser_id: int) -> LockedPair:
    """Lock the graph and both roots, and refuse what no merge may do. Five queries.

    Raises NotFound, or RuleForbids for a profile with itself, two that are merged already, or one that is locked
    against merging or gone.
    """
    if winner_id == loser_id:
        raise RuleForbids(SAME_PROFILE)
    graph.lock_graph()
    roots = graph.roots_of([winner_id, loser_id])
    for profile_id in (winner_id, loser_id):
        if profile_id not in roots:
            raise NotFound(no_profile(profile_id))
    winner_root, loser_root = roots[winner_id], roots[loser_id]
    if winner_root == loser_root:
        raise RuleForbids(already_merged(winner_id, loser_id, winner_root))
    rows = graph.lock_profiles([winner_root], members_of=[loser_root])
    winner, loser = rows[winner_root], rows[loser_root]
    for profile in (winner, loser):
        if sentence := merge_refusal(profile):
            raise RuleForbids(sentence)
    parts = _parts(winner_root, loser_root)
    moved = {kind: int(parts.get((loser_root, kind), ("0", ""))[0]) for kind in MOVED_KINDS}
    state = [
        [row.pk, row.version, *(parts.get((row.pk, kind)) for kind in ("profiles", *MEMBER_TABLES))]
        for row in (winner, loser)
    ]
    digest = hashlib.sha256(json.dumps(state).encode()).hexdigest()
    return LockedPair(winner, loser, moved, digest)


def no_profile(profile_id: int) -> str:
    return f"No profile “{profile_id}”."


def already_merged(winner_id: int, loser_id: int, root_id: int) -> str:
    return f"Profiles #{winner_id} and #{loser_id} are already merged: both are profile #{root_id}."


def merge_refusal(profile: Profile) -> str:
    """Why this root may not be in a merge, or ""."""
    if profile.status == Profile.Status.DELETED:
        return f"Profile #{profile.pk} is deleted. Restore it first."
    if profile.status != Profile.Status.LIVE:
        return f"Profile #{profile.pk} is {profile.get_status_display().lower()} and cannot be merged."
    if profile.is_locked:
        return f"Profile #{profile.pk} is locked against merging. Unlock it first."
    return ""


def _parts(winner_root: int, loser_root: int) -> dict[tuple[int, str], tuple[str, str]]:
    """``{(root, kind): (count, mark)}``; the mark changes with whatever is added or taken away. One query.

    Events are counted on the loser alone and leave the hash as it is: they keep coming in. The members come
    as an array, so that each table is read through its index on the profile whatever the planner believes.
    """
    selects = [
        "SELECT canonical_id, 'profiles', count(*)::text, string_agg(id::text, ' ' ORDER BY id)"
        f" FROM {sql.PROFILES} WHERE canonical_id IN (%(winner)s, %(loser)s) GROUP BY 1"
    ]
    selects += [
        f"SELECT %({side})s::bigint, '{kind}', count(*)::text, coalesce(max(id), 0)::text"
        f" FROM {table} WHERE profile_id = ANY({sql.member_array(f'%({side})s')})"
        for side in SIDES
        for kind, table in MEMBER_TABLES.items()
    ]
    selects.append(
        "SELECT %(loser)s::bigint, 'events', count(*)::text, ''"
        f" FROM profiles_event WHERE profile_id = ANY({sql.member_array('%(loser)s')})"
    )
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(selects), {"winner": winner_root, "loser": loser_root})
        return {(root, kind): (count, mark) for root, kind, count, mark in cursor.fetchall()}


def members_count(root_id: int) -> dict[str, int]:
    """What one profile has of everything that stays on its members, by kind. One query."""
    parts = _parts(root_id, root_id)
    return {kind: int(parts.get((root_id, kind), ("0", ""))[0]) for kind in MOVED_KINDS}


def check_choices(choices: Mapping[str, Any], winner: Profile, loser: Profile) -> None:
    """Invalid for a choice of an unknown field or side. A query only for an attribute neither has."""
    known = {*Profile.FIELDS, *(CUSTOM + name for row in (winner, loser) for name in row.attributes)}
    if not choices.keys() <= known:
        known |= {CUSTOM + name for name in AttributeDefinition.objects.values_list("name", flat=True)}
    problems = []
    for field_name, side in choices.items():
        if field_name not in known:
            message = f"There is no field “{field_name}” to choose."
            problems.append({"field": field_name, "value": side, "message": message})
        elif side not in SIDES:
            message = f"Choose “winner” or “loser” for {field_name}, not “{side}”."
            problems.append({"field": field_name, "value": side, "message": message})
    if problems:
        raise Invalid(problems)


# --- Saving rows in bulk --------------------------------------------------------------------------------

_SAVED_COLUMNS = dict.fromkeys(Profile.FIELDS, "text") | {
    "birth_date": "date",
    "first_seen_at": "timestamptz",
    "last_seen_at": "timestamptz",
    "updated_at": "timestamptz",
    "is_recognized": "boolean",
    "version": "int",
    "attributes": "jsonb",
}
_SAVE_ROWS = (
    f"UPDATE {sql.PROFILES} p SET {', '.join(f'{name} = v.{name}' for name in _SAVED_COLUMNS)}"
    " FROM json_to_recordset(%(rows)s::json)"
    f" AS v (id bigint, {', '.join(f'{name} {kind}' for name, kind in _SAVED_COLUMNS.items())}) WHERE p.id = v.id"
)


def save_rows(rows: Sequence[Profile]) -> None:
    """Write everything a merge or its undo changes on these locked rows, but for where they point. One statement."""
    values = [{"id": row.pk} | {name: getattr(row, name) for name in _SAVED_COLUMNS} for row in rows]
    # Not orjson: an attribute may hold a number of more than 64 bits.
    run(_SAVE_ROWS, {"rows": json.dumps(values, default=str)})
