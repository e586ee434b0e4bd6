"""Taking a merge back: any merge, in any order, exactly (M6)."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, prefetch_related_objects
from django.db.models.functions import Now
from django.utils import timezone

from cdp import audit, webhooks
from cdp.actors import Actor
from profiles.editing.identifiers import refresh_recognized
from profiles.errors import NotFound, RuleForbids
from profiles.identity import graph
from profiles.journal import REQUEST, Cause, Entry, record_many
from profiles.merging import verdicts
from profiles.merging.fields import SEEN, Values, changed, is_attribute, put_values, row_values, stored
from profiles.merging.replay import UNSIGNED, History, Played, Writer, build_history, play
from profiles.merging.sentences import day, undoer, who
from profiles.models import Change, Merge, Profile, Source


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


@dataclass(frozen=True, slots=True)
class _Tree:
    """One person held still: ``chain`` leads from the merge's winner up to the root; ``side`` goes back."""

    merge: Merge
    edges: list[Merge]
    chain: list[int]
    side: set[int]
    held: dict[int, Profile]

    @property
    def root(self) -> Profile:
        return self.held[self.chain[-1]]

    @property
    def loser(self) -> Profile:
        return self.held[self.merge.loser_id]


@graph.retried
@transaction.atomic
def unmerge_profiles(*, merge_id: int, actor: Actor, source: Source, cause: Cause = REQUEST) -> Unmerged:
    """Undo one merge, as if it had never happened; other merges stay, above it and below it.

    The loser comes back with everyone merged into it, with its own values, and with what arrived by its
    identifiers since. On the surviving profile a field goes back where the merged value still stands; a
    value somebody changed since is kept and listed. Both are remembered as *not a duplicate*. Raises NotFound,
    RuleForbids when the merge is undone already or one of the two is deleted, anonymized or erased.
    """
    tree = _hold_tree(merge_id)
    history, actual, without = _replay(tree)
    new = {pk: changed(history.rows[pk], without.values[pk]) for pk in [*tree.chain, tree.merge.loser_id]}
    received = _received(history, without, tree)
    kept = _kept(tree, history, actual, without, new)
    graph.release(loser_id=tree.merge.loser_id, side=tree.side)
    for pk, fields in new.items():
        _write(tree.held[pk], {key: value for key, (_, value) in fields.items()}, is_root=pk == tree.root.pk)
    _correct_merges(tree.edges, without, history.fields)
    undone = {"undone_at": Now(), "undone_by": actor.user_id, "undone_by_key": actor.key_id}
    Merge.objects.filter(pk=merge_id).update(**undone)
    root, loser = _refresh(tree)
    verdicts.reopen_as_different(root.pk, loser.pk, actor=actor)
    told = {pk: {key: pair for key, pair in fields.items() if key not in SEEN} for pk, fields in new.items()}
    done = Unmerged(merge_id, root, loser, root.pk, loser.pk, told[root.pk], kept, told[loser.pk])
    _tell(tree, told, received, done, actor=actor, source=source, cause=cause)
    return done


def _hold_tree(merge_id: int) -> _Tree:
    graph.lock_graph()
    merge = Merge.objects.filter(pk=merge_id).select_related("loser").first()
    if merge is None:
        raise NotFound(f"There is no merge {merge_id}.")
    if merge.undone_at is not None:
        raise RuleForbids(
            f"Merge {merge_id} was already undone by {undoer(merge)} on {day(merge.undone_at)}."
        )
    edges = graph.active_merges(merge.loser.canonical_id)
    winner_of = {edge.loser_id: edge.winner_id for edge in edges}
    chain = graph.chain_up(merge.winner_id, winner_of)
    side = graph.side_of(merge.loser_id, winner_of)
    tree = _Tree(merge, edges, chain, side, graph.lock_profiles([*chain, *side]))
    root, loser = tree.root, tree.loser
    if root.status == Profile.Status.DELETED:
        raise RuleForbids(f"Profile #{root.pk} is deleted. Restore it first.")
    for profile, wanted in ((root, Profile.Status.LIVE), (loser, Profile.Status.MERGED)):
        if profile.status != wanted:
            status = profile.get_status_display().lower()
            raise RuleForbids(f"Profile #{profile.pk} is {status}; a merge with it cannot be undone.")
    return tree


# --- What the rows will say ---------------------------------------------------------------------------


def _replay(tree: _Tree) -> tuple[History, Played, Played]:
    """The history in the fields the merge can have touched, played as it was and without the merge."""
    returning = Change.objects.filter(profile_id__in=tree.chain, via_id__in=tree.side)
    fields = {*tree.merge.after, *SEEN}
    for told in returning.values_list("fields", flat=True):
        fields.update(filter(is_attribute, told))
    members = _members(tree)
    merging = Q(kind__in=[Change.Kind.MERGED, Change.Kind.UNMERGED])
    setting = Q(fields__has_any_keys=[key for key in fields if key not in SEEN])
    changes = Change.objects.filter(merging | setting, profile_id__in=members)
    rows = {pk: row_values(row) for pk, row in members.items()}
    history = build_history(rows, tree.edges, changes.order_by("pk"), fields)
    actual = play(history)
    without = play(history, without=tree.merge, surprises=_without_visits(actual, tree))
    _correct_seen(tree, history, actual, without)
    return history, actual, without


def _members(tree: _Tree) -> dict[int, Profile]:
    """Every row of the person. No query when all are held: nobody is merged into those that are not."""
    others = [edge.loser_id for edge in tree.edges if edge.loser_id not in tree.held]
    return tree.held | Profile.objects.defer("search").in_bulk(others)


def _without_visits(actual: Played, tree: _Tree) -> dict[int, Values]:
    """The surprises but for newer visits on the chain: no journal tells whose they were, the events do."""
    return {
        pk: {key: value for key, value in found.items() if key not in SEEN or pk not in tree.chain}
        for pk, found in actual.surprises.items()
    }


def _correct_seen(tree: _Tree, history: History, actual: Played, without: Played) -> None:
    """Where first or last seen moved since, take it from each side's own events. At most one query."""
    moved = [
        key
        for key in SEEN
        if any((pk, key) in actual.visited or key in actual.surprises.get(pk, {}) for pk in tree.chain)
    ]
    if not moved:
        return
    seen = _seen_in_events(tree.root.pk)
    winner_of = {edge.loser_id: edge.winner_id for edge in tree.edges if edge.pk != tree.merge.pk}
    for pk in (*tree.chain, tree.merge.loser_id):
        for key in moved:
            moments = [seen[key].get(member) for member in graph.side_of(pk, winner_of)]
            _extend(without.values[pk], key, moments)
    root = tree.root.pk
    for key in moved:
        everything = {key: None}
        _extend(everything, key, [without.values[pk].get(key) for pk in (root, tree.merge.loser_id)])
        if everything[key] != history.rows[root].get(key):
            # No event explains it (a visit only counted): it stays with the survivor.
            without.values[root][key] = history.rows[root].get(key)


def _extend(values: Values, key: str, moments: Iterable[datetime.datetime | None]) -> None:
    known = [moment for moment in (values.get(key), *moments) if moment is not None]
    values[key] = SEEN[key](known) if known else None


def _seen_in_events(root_id: int) -> dict[str, dict[int, datetime.datetime]]:
    """Each member's first and last event, both ends of one index. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.id, (SELECT min(occurred_at) FROM profiles_event WHERE profile_id = p.id),"
            " (SELECT max(occurred_at) FROM profiles_event WHERE profile_id = p.id)"
            " FROM profiles_profile p WHERE p.canonical_id = %s",
            [root_id],
        )
        rows = cursor.fetchall()
    return {
        "first_seen_at": {pk: first for pk, first, _ in rows},
        "last_seen_at": {pk: last for pk, _, last in rows},
    }


@dataclass(frozen=True, slots=True)
class _Returned:
    """What lands on the loser again: ``fields`` as they change its row, ``edits`` as they were made once."""

    via: int | None
    fields: dict[str, list[Any]]
    edits: list[dict[str, list[Any]]]


def _received(history: History, without: Played, tree: _Tree) -> list[_Returned]:
    """What lands on the loser without the merge, in order; neighbours by one via are one."""
    found: list[_Returned] = []
    since = history.steps.index(tree.merge)
    for place, (root, wrote) in without.landed.items():
        if place < since or root != tree.merge.loser_id:
            continue
        step = history.steps[place]
        via = step.member_id  # type: ignore[union-attr]
        if not found or found[-1].via != via:
            found.append(_Returned(via, {}, []))
        for key, (old, new) in wrote.items():
            told = found[-1].fields.setdefault(key, [old, new])
            told[1] = new
        found[-1].edits.append({key: step.fields[key] for key in wrote if key not in SEEN})  # type: ignore[union-attr]
    return found


def _kept(
    tree: _Tree, history: History, actual: Played, without: Played, new: Mapping[int, Mapping[str, Any]]
) -> list[dict[str, str]]:
    """The fields the merge brought that stay on the survivor, each with the reason."""
    edge_to = {edge.loser_id: edge for edge in tree.edges}
    since = history.steps.index(tree.merge)
    late = {step.change.pk for step in history.steps[since:] if not isinstance(step, Merge)}
    stays: list[tuple[str, Writer, Writer]] = []
    for key in sorted(actual.effects[tree.merge.pk].keys() - SEEN.keys()):
        for pk in tree.chain:
            if key not in new[pk]:
                stays.append((key, actual.writers[pk][key], without.writers[pk][key]))
                break
            if pk not in edge_to or key not in actual.effects[edge_to[pk].pk]:
                break
    # Read for the few that are named, not for the whole journal.
    changes = [writer for _, writer, _ in stays if isinstance(writer, Change)]
    prefetch_related_objects(changes, "user", "key", "source")
    told = [(key, _reason(writer, otherwise, late)) for key, writer, otherwise in stays]
    return [{"field": key, "reason": reason} for key, reason in told if reason]


def _reason(writer: Writer, otherwise: Writer, late: set[int]) -> str:
    """Why a value stands: by who wrote it last, as it was and without the merge."""
    if writer == UNSIGNED:
        return "changed since the merge"
    if isinstance(writer, Change) and writer.pk in late:
        return f"changed by {who(writer)} on {day(writer.at)}"
    if isinstance(otherwise, Merge):
        return f"taken from profile #{otherwise.loser_id}, which is merged too"
    return ""


# --- Writing it ---------------------------------------------------------------------------------------


def _write(profile: Profile, values: Values, *, is_root: bool) -> None:
    """Save a row of the chain or the loser; the loser's version was counted with its pointer."""
    columns = put_values(profile, values)
    if is_root:
        profile.version += 1
        profile.updated_at = timezone.now()
        columns += ["version", "updated_at"]
    if columns:
        profile.save(update_fields=columns)


def _correct_merges(edges: Iterable[Merge], without: Played, fields: Iterable[str]) -> None:
    """Let later merges' ``before`` and ``after`` say what they changed without the undone one."""
    touched = []
    for edge in edges:
        effect = without.effects.get(edge.pk)
        if effect is None:
            continue
        rest = {
            side: {key: value for key, value in getattr(edge, side).items() if key not in fields}
            for side in ("before", "after")
        }
        before = rest["before"] | stored({key: old for key, (old, _) in effect.items()})
        after = rest["after"] | stored({key: new for key, (_, new) in effect.items()})
        if (before, after) != (edge.before, edge.after):
            edge.before, edge.after = before, after
            touched.append(edge)
    if touched:
        Merge.objects.bulk_update(touched, ["before", "after"])


def _refresh(tree: _Tree) -> tuple[Profile, Profile]:
    """Both roots as the database has them now, recognized by what each side itself holds."""
    ids = (tree.root.pk, tree.merge.loser_id)
    refresh_recognized(ids)
    rows = Profile.objects.defer("search").in_bulk(ids)
    return rows[ids[0]], rows[ids[1]]


def _tell(
    tree: _Tree,
    told: Mapping[int, dict[str, list[Any]]],
    received: list[_Returned],
    done: Unmerged,
    *,
    actor: Actor,
    source: Source,
    cause: Cause,
) -> None:
    """Journal, audit and outbox. What the loser received is told edit by edit: a later undo may pass it on."""
    kind = Change.Kind.UNMERGED
    about = {"merge_id": done.merge_id, "winner_id": done.winner_id, "loser_id": done.loser_id}
    entries = [
        Entry(pk, kind, told[pk], detail={**about, "side": "winner", "kept": done.kept})
        for pk in tree.chain
        if told[pk] or pk == done.winner_id
    ]
    for back in received or [_Returned(None, {}, [])]:
        shown = {key: pair for key, pair in back.fields.items() if key not in SEEN}
        detail: dict[str, Any] = {**about, "side": "loser"}
        if any(isinstance(new, list) for edit in back.edits for _, new in edit.values()):
            # What an edit took out of a list is not to be seen in what it changed here.
            detail["edits"] = back.edits
        entries.append(Entry(done.loser_id, kind, shown, via_id=back.via, detail=detail))
    why = Cause(Change.Cause.UNMERGE, done.merge_id, cause.line)
    record_many(entries=entries, actor=actor, source=source, cause=why)
    audit.record(
        "profile.unmerge",
        actor=actor,
        subject=f"profile:{done.winner_id}",
        detail={**about, "fields": sorted(done.fields), "kept": sorted(item["field"] for item in done.kept)},
    )
    webhooks.publish("profile.unmerged", profile_id=done.winner_id, payload=about)
