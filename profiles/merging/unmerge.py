"""Taking merges back: any merge, in any order, exactly (M6); one, or some hundred at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from cdp import audit, webhooks
from cdp.actors import Actor
from cdp.errors import Refused
from profiles.editing.identifiers import refresh_recognized
from profiles.identity import graph
from profiles.journal import REQUEST, Cause, Entry, record_many
from profiles.merging.merge_tree import hold_trees
from profiles.merging.save_rows import save_rows
from profiles.merging.undo_plan import Returned, Without, play_without
from profiles.models import Change, Merge, Profile, Source
from profiles.pairs import verdicts
from profiles.values.merged_fields import SEEN, put_values, stored


@dataclass(frozen=True, slots=True)
class Unmerged:
    """Both people after the undo.

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


def unmerge_profiles(*, merge_id: int, actor: Actor, source: Source, cause: Cause = REQUEST) -> Unmerged:
    """Undo one merge, as if it had never happened; other merges stay, above it and below it.

    The loser comes back with everyone merged into it, with its own values, and with what arrived by its
    identifiers since. On the surviving profile a field goes back where the merged value still stands; a
    value somebody changed since is kept and listed. Both are remembered as *not a duplicate*. Raises NotFound,
    RuleForbids when the merge is undone already or one of the two is deleted, anonymized or erased.
    """
    done = unmerge_many(merge_ids=[merge_id], actor=actor, source=source, cause=cause)[merge_id]
    if isinstance(done, Refused):
        raise done
    return done


@graph.retried
@transaction.atomic
def unmerge_many(
    *, merge_ids: Sequence[int], actor: Actor, source: Source, cause: Cause = REQUEST
) -> dict[int, Unmerged | Refused]:
    """Undo these merges, one person's in the given order; what ``unmerge_profiles`` gives or raises of each.

    A fixed number of queries for merges of different people; one person's merges take as many each.
    """
    told: dict[int, Unmerged | Refused] = {}
    waiting = list(dict.fromkeys(merge_ids))
    while waiting:
        held = hold_trees(waiting)
        told |= held.refused
        if held.trees:
            told |= _undo(play_without(held.trees), actor=actor, source=source, cause=cause)
        waiting = held.waiting
    return told


def _undo(found: Sequence[Without], *, actor: Actor, source: Source, cause: Cause) -> dict[int, Unmerged]:
    """Write and tell undos of different people."""
    save_rows([row for one in found for row in _changed_rows(one)])
    graph.release({one.tree.merge.loser_id: one.tree.side for one in found})
    _correct_merges(found)
    undone = {"undone_at": Now(), "undone_by": actor.user_id, "undone_by_key": actor.key_id}
    Merge.objects.filter(pk__in=[one.tree.merge.pk for one in found]).update(**undone)
    both = [(one.tree.root.pk, one.tree.merge.loser_id) for one in found]
    rows = _refreshed(pk for pair in both for pk in pair)
    verdicts.reopen_as_different(both, actor=actor)
    done = [_unmerged(one, rows) for one in found]
    _tell(list(zip(found, done, strict=True)), actor=actor, source=source, cause=cause)
    return {one.merge_id: one for one in done}


def _unmerged(one: Without, rows: dict[int, Profile]) -> Unmerged:
    root, loser, told = one.tree.root.pk, one.tree.merge.loser_id, one.told
    return Unmerged(
        one.tree.merge.pk, rows[root], rows[loser], root, loser, told[root], one.kept, told[loser]
    )


# --- Writing it ---------------------------------------------------------------------------------------


def _changed_rows(one: Without) -> list[Profile]:
    """The chain's and the loser's rows as they will be; the loser's version is counted with its pointer."""
    root = one.tree.root
    root.version += 1
    root.updated_at = timezone.now()
    touched = {root.pk: root}
    for pk, fields in one.new.items():
        if fields:
            touched[pk] = one.tree.held[pk]
            put_values(touched[pk], {key: value for key, (_, value) in fields.items()})
    return list(touched.values())


def _correct_merges(found: Iterable[Without]) -> None:
    """Let later merges' ``before`` and ``after`` say what they changed without the undone one."""
    touched = [edge for one in found for edge in one.tree.edges if _correct(edge, one)]
    if touched:
        Merge.objects.bulk_update(touched, ["before", "after"])


def _correct(edge: Merge, one: Without) -> bool:
    effect = one.effects.get(edge.pk)
    if effect is None:
        return False
    rest = {
        side: {key: value for key, value in getattr(edge, side).items() if key not in one.fields}
        for side in ("before", "after")
    }
    before = rest["before"] | stored({key: old for key, (old, _) in effect.items()})
    after = rest["after"] | stored({key: new for key, (_, new) in effect.items()})
    if (before, after) == (edge.before, edge.after):
        return False
    edge.before, edge.after = before, after
    return True


def _refreshed(ids: Iterable[int]) -> dict[int, Profile]:
    """The roots as the database has them now, recognized by what each side itself holds."""
    roots = list(ids)
    refresh_recognized(roots)
    return Profile.objects.defer("search").in_bulk(roots)


# --- Telling it ---------------------------------------------------------------------------------------


def _tell(found: Sequence[tuple[Without, Unmerged]], *, actor: Actor, source: Source, cause: Cause) -> None:
    """Journal, audit and outbox."""
    entries = [entry for one, done in found for entry in _entries(one, done, cause)]
    record_many(entries=entries, actor=actor, source=source)
    about = [(done.winner_id, _about(done)) for _, done in found]
    audit.record_many(
        "profile.unmerge",
        actor=actor,
        subjects=[f"profile:{done.winner_id}" for _, done in found],
        details=[
            {
                **_about(done),
                "fields": sorted(done.fields),
                "kept": sorted(item["field"] for item in done.kept),
            }
            for _, done in found
        ],
    )
    webhooks.publish_many("profile.unmerged", items=about)


def _about(done: Unmerged) -> dict[str, int]:
    return {"merge_id": done.merge_id, "winner_id": done.winner_id, "loser_id": done.loser_id}


def _entries(one: Without, done: Unmerged, cause: Cause) -> list[Entry]:
    """What the loser received is told edit by edit: a later undo may pass it on."""
    tree, told, about = one.tree, one.told, _about(done)
    kind, why = Change.Kind.UNMERGED, Cause(Change.Cause.UNMERGE, done.merge_id, cause.line)
    entries = [
        Entry(pk, kind, told[pk], detail={**about, "side": "winner", "kept": done.kept}, cause=why)
        for pk in tree.chain
        if told[pk] or pk == done.winner_id
    ]
    for back in one.received or [Returned(None, {}, [])]:
        shown = {key: pair for key, pair in back.fields.items() if key not in SEEN}
        detail: dict[str, Any] = {**about, "side": "loser"}
        if any(isinstance(new, list) for edit in back.edits for _, new in edit.values()):
            # What an edit took out of a list is not to be seen in what it changed here.
            detail["edits"] = back.edits
        entries.append(Entry(done.loser_id, kind, shown, via_id=back.via, detail=detail, cause=why))
    return entries
