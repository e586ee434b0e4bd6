"""Merges → undone: any merge, in any order, exactly; one, or some hundred at once.

``lock_trees`` locks the profiles those merges made and refuses what cannot be undone, ``profiles.merging.undo_plan``
says what their rows become, ``unmerge_many`` writes and records it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from cdp import audit, webhooks
from cdp.actors import Actor
from cdp.errors import NotFound, Refused, RuleForbids
from cdp.times import day
from profiles.identity import graph
from profiles.journal import REQUEST, Cause, Entry, record_many
from profiles.merging.merge import save_rows
from profiles.merging.undo_plan import MergeTree, ReturnedEdits, UndoPlan, plan_undos
from profiles.models import Change, Merge, Profile, Source
from profiles.pairs import verdicts
from profiles.values.merged_fields import SEEN, put_values, stored


@dataclass(frozen=True, slots=True)
class Unmerged:
    """Both profiles after the undo.

    ``fields``: ``{field: [old, new]}`` on the surviving profile; ``kept``: ``[{"field", "reason"}]``, what the
    merge brought and what stays all the same; ``returned``: ``{field: [old, new]}`` on the loser, what arrived
    by its identifiers after the merge.
    """

    merge_id: int
    winner: Profile
    loser: Profile
    winner_id: int
    loser_id: int
    fields: dict[str, list[Any]]
    kept: list[dict[str, str]]
    returned: dict[str, list[Any]]

    @property
    def ids(self) -> dict[str, int]:
        return {"merge_id": self.merge_id, "winner_id": self.winner_id, "loser_id": self.loser_id}


def unmerge_profiles(*, merge_id: int, actor: Actor, source: Source, cause: Cause = REQUEST) -> Unmerged:
    """Undo one merge, as if it had never happened; other merges stay, above it and below it.

    The loser comes back with everyone merged into it, with its own values, and with what arrived by its
    identifiers since. On the surviving profile a field goes back where the merged value still stands; a
    value somebody changed since is kept and listed. Both are remembered as *not a duplicate*. Raises NotFound,
    RuleForbids when the merge is undone already or one of the two is deleted, anonymized or erased.
    """
    result = unmerge_many(merge_ids=[merge_id], actor=actor, source=source, cause=cause)[merge_id]
    if isinstance(result, Refused):
        raise result
    return result


@graph.retried
@transaction.atomic
def unmerge_many(
    *,
    merge_ids: Sequence[int],
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
    is_verdict: bool = True,
) -> dict[int, Unmerged | Refused]:
    """Undo these merges, those of one profile in the given order; what ``unmerge_profiles`` gives or raises of each.

    ``is_verdict``: whoever undoes them says of each that the two are different people. Of many at once nobody has
    looked at each; their pairs are open again, as if nobody had decided.

    A fixed number of queries for merges of different profiles; as many again for each further merge of the same one.
    """
    results: dict[int, Unmerged | Refused] = {}
    remaining = list(dict.fromkeys(merge_ids))
    while remaining:
        locked = lock_trees(remaining)
        results |= locked.refused
        if locked.trees:
            plans = plan_undos(locked.trees)
            results |= _undo(plans, actor=actor, source=source, cause=cause, is_verdict=is_verdict)
        remaining = locked.deferred
    return results


# --- Locking the trees ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LockedTrees:
    """Trees of different profiles; merges that are refused; and those of profiles of which another merge comes first."""

    trees: list[MergeTree]
    refused: dict[int, Refused]
    deferred: list[int]


def lock_trees(merge_ids: Sequence[int]) -> LockedTrees:
    """Lock each profile these merges made, for the first of its merges. Four queries for any number."""
    graph.lock_graph()
    rows = Merge.objects.filter(pk__in=merge_ids).select_related("undone_by", "undone_by_key")
    merges = {merge.pk: merge for merge in rows.annotate(root_id=F("loser__canonical_id"))}
    refused: dict[int, Refused] = {}
    merge_of_root: dict[int, int] = {}
    deferred = []
    for merge_id in merge_ids:
        merge = merges.get(merge_id)
        if merge is None:
            refused[merge_id] = NotFound(f"There is no merge {merge_id}.")
        elif merge.undone_at is not None:
            refused[merge_id] = RuleForbids(
                f"Merge {merge_id} was already undone by {merge.undone_by_name} on {day(merge.undone_at)}."
            )
        elif merge_of_root.setdefault(merge.root_id, merge_id) != merge_id:
            deferred.append(merge_id)
    trees = []
    for tree in _trees(merge_of_root):
        if refusal := _refusal(tree):
            refused[tree.merge.pk] = refusal
        else:
            trees.append(tree)
    return LockedTrees(trees, refused, deferred)


def _trees(merge_of_root: dict[int, int]) -> list[MergeTree]:
    """By ``{root id: merge id}``. Two queries."""
    if not merge_of_root:
        return []
    trees: list[MergeTree] = []
    for root_id, edges in graph.active_merges(merge_of_root).items():
        merge = next(edge for edge in edges if edge.pk == merge_of_root[root_id])
        winner_of = {edge.loser_id: edge.winner_id for edge in edges}
        path = graph.path_to_root(merge.winner_id, winner_of)
        trees.append(MergeTree(merge, edges, path, graph.subtree_of(merge.loser_id, winner_of), {}))
    rows = graph.lock_profiles(pk for tree in trees for pk in (*tree.path, *tree.subtree))
    for tree in trees:
        tree.rows.update({pk: rows[pk] for pk in (*tree.path, *tree.subtree)})
    return trees


def _refusal(tree: MergeTree) -> Refused | None:
    root = tree.root
    if root.status == Profile.Status.DELETED:
        return RuleForbids(f"Profile #{root.pk} is deleted. Restore it first.")
    for profile, expected in ((root, Profile.Status.LIVE), (tree.loser, Profile.Status.MERGED)):
        if profile.status != expected:
            status = profile.get_status_display().lower()
            return RuleForbids(f"Profile #{profile.pk} is {status}; a merge with it cannot be undone.")
    return None


# --- Writing the undos ----------------------------------------------------------------------------------


def _undo(
    plans: Sequence[UndoPlan], *, actor: Actor, source: Source, cause: Cause, is_verdict: bool
) -> dict[int, Unmerged]:
    """Write and record undos of different profiles."""
    save_rows([row for plan in plans for row in _changed_rows(plan)])
    graph.release({plan.tree.merge.loser_id: plan.tree.subtree for plan in plans})
    _correct_later_merges(plans)
    undone = {"undone_at": Now(), "undone_by": actor.user_id, "undone_by_key": actor.key_id}
    Merge.objects.filter(pk__in=[plan.tree.merge.pk for plan in plans]).update(**undone)
    pairs = [(plan.tree.root.pk, plan.tree.merge.loser_id) for plan in plans]
    rows = _refreshed(pk for pair in pairs for pk in pair)
    if is_verdict:
        verdicts.reopen_as_different(pairs, actor=actor)
    else:
        verdicts.reopen(pairs)
    results = [_unmerged(plan, rows) for plan in plans]
    _record(list(zip(plans, results, strict=True)), actor=actor, source=source, cause=cause)
    return {result.merge_id: result for result in results}


def _unmerged(plan: UndoPlan, rows: dict[int, Profile]) -> Unmerged:
    root, loser, fields = plan.tree.root.pk, plan.tree.merge.loser_id, plan.journal_fields
    return Unmerged(
        plan.tree.merge.pk, rows[root], rows[loser], root, loser, fields[root], plan.kept, fields[loser]
    )


def _changed_rows(plan: UndoPlan) -> list[Profile]:
    """The rows of the path and the loser as they will be; the loser's version is counted with its pointer."""
    root = plan.tree.root
    root.version += 1
    root.updated_at = timezone.now()
    rows = {root.pk: root}
    for pk, fields in plan.changes.items():
        if fields:
            rows[pk] = plan.tree.rows[pk]
            put_values(rows[pk], {key: new for key, (_, new) in fields.items()})
    return list(rows.values())


def _correct_later_merges(plans: Iterable[UndoPlan]) -> None:
    """Let later merges' ``before`` and ``after`` say what they changed without the undone one."""
    corrected = [edge for plan in plans for edge in plan.tree.edges if _correct(edge, plan)]
    if corrected:
        Merge.objects.bulk_update(corrected, ["before", "after"])


def _correct(edge: Merge, plan: UndoPlan) -> bool:
    effect = plan.effects.get(edge.pk)
    if effect is None:
        return False
    rest = {
        side: {key: value for key, value in getattr(edge, side).items() if key not in plan.fields}
        for side in ("before", "after")
    }
    before = rest["before"] | stored({key: old for key, (old, _) in effect.items()})
    after = rest["after"] | stored({key: new for key, (_, new) in effect.items()})
    if (before, after) == (edge.before, edge.after):
        return False
    edge.before, edge.after = before, after
    return True


def _refreshed(ids: Iterable[int]) -> dict[int, Profile]:
    """The roots as the database has them now, recognized by the identifiers of each side."""
    roots = list(ids)
    graph.refresh_recognized(roots)
    return Profile.objects.defer("search").in_bulk(roots)


# --- Recording them -------------------------------------------------------------------------------------


def _record(
    undos: Sequence[tuple[UndoPlan, Unmerged]], *, actor: Actor, source: Source, cause: Cause
) -> None:
    """Journal, audit and outbox."""
    entries = [entry for plan, result in undos for entry in _journal_entries(plan, result, cause)]
    record_many(entries=entries, actor=actor, source=source)
    audit.record_many(
        "profile.unmerge",
        actor=actor,
        subjects=[f"profile:{result.winner_id}" for _, result in undos],
        details=[
            {
                **result.ids,
                "fields": sorted(result.fields),
                "kept": sorted(item["field"] for item in result.kept),
            }
            for _, result in undos
        ],
    )
    webhooks.publish_many(
        "profile.unmerged",
        items=[(result.winner_id, result.ids) for _, result in undos],
        other_ids=[result.loser_id for _, result in undos],
    )


def _journal_entries(plan: UndoPlan, result: Unmerged, cause: Cause) -> list[Entry]:
    """What the loser gets back is written edit by edit: a later undo may pass it on."""
    tree, fields = plan.tree, plan.journal_fields
    kind, unmerge = Change.Kind.UNMERGED, Cause(Change.Cause.UNMERGE, result.merge_id, cause.line_no)
    entries = [
        Entry(
            pk, kind, fields[pk], detail={**result.ids, "side": "winner", "kept": result.kept}, cause=unmerge
        )
        for pk in tree.path
        if fields[pk] or pk == result.winner_id
    ]
    for returned in plan.returned or [ReturnedEdits(None, {}, [], {})]:
        named = {key: change for key, change in returned.fields.items() if key not in SEEN}
        detail: dict[str, Any] = {**result.ids, "side": "loser"}
        if any(isinstance(new, list) for edit in returned.edits for _, new in edit.values()):
            # What an edit took out of a list is not to be seen in what it changed here.
            detail["edits"] = returned.edits
        if returned.times:
            detail["times"] = returned.times
        entries.append(
            Entry(result.loser_id, kind, named, via_id=returned.via_id, detail=detail, cause=unmerge)
        )
    return entries
