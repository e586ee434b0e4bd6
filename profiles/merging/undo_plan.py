"""Locked trees of merges → an ``UndoPlan`` of each: what the rows become without one merge, before anything is written."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, prefetch_related_objects

from cdp.sql import run
from cdp.times import day
from profiles import sql
from profiles.identity import graph
from profiles.merging.undo_replay import UNSIGNED, Edit, History, Replay, Writer, build_history, replay
from profiles.models import Change, Merge, Profile
from profiles.values.merged_fields import SEEN, Values, changed, is_attribute, row_values

FieldChanges = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class MergeTree:
    """One surviving profile, locked, with the active merges below it.

    ``path`` leads from the merge's winner up to the root; ``subtree`` are the ids that go back with the loser;
    ``rows`` are those of both.
    """

    merge: Merge
    edges: list[Merge]
    path: list[int]
    subtree: set[int]
    rows: dict[int, Profile]

    @property
    def root(self) -> Profile:
        return self.rows[self.path[-1]]

    @property
    def loser(self) -> Profile:
        return self.rows[self.merge.loser_id]


@dataclass(frozen=True, slots=True)
class ReturnedEdits:
    """What is written on the loser again: ``fields`` as they change its row, ``edits`` as they were made once, and
    ``times`` when."""

    via_id: int | None
    fields: FieldChanges
    edits: list[FieldChanges]
    times: dict[str, str]


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """A tree without its merge.

    ``changes``: ``{profile id: {field: [old, new]}}`` of the path and the loser; ``returned`` is what the loser gets
    back; ``effects`` what each later merge changes then; ``fields`` are those that were looked at; ``kept``:
    ``[{"field", "reason"}]``, what the merge brought and what stays.
    """

    tree: MergeTree
    fields: frozenset[str]
    changes: dict[int, FieldChanges]
    returned: list[ReturnedEdits]
    effects: dict[int, FieldChanges]
    kept: list[dict[str, str]]

    @property
    def journal_fields(self) -> dict[int, FieldChanges]:
        """``changes`` as the journal names them: without first and last visit."""
        return {
            pk: {key: change for key, change in fields.items() if key not in SEEN}
            for pk, fields in self.changes.items()
        }


def plan_undos(trees: Sequence[MergeTree]) -> list[UndoPlan]:
    """Each profile's history replayed as it was and without the merge. Two to seven queries for any number."""
    comparisons = [_compared(tree, history) for tree, history in zip(trees, _histories(trees), strict=True)]
    _correct_visits(comparisons)
    return [
        UndoPlan(
            tree=comparison.tree,
            fields=comparison.history.fields,
            changes=comparison.changes,
            returned=_returned(comparison),
            effects=comparison.without.effects,
            kept=kept,
        )
        for comparison, kept in zip(comparisons, _kept(comparisons), strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A profile's history, replayed as it was and without the merge."""

    tree: MergeTree
    history: History
    actual: Replay
    without: Replay

    @property
    def changes(self) -> dict[int, FieldChanges]:
        ids = (*self.tree.path, self.tree.merge.loser_id)
        return {pk: changed(self.history.rows[pk], self.without.values[pk]) for pk in ids}

    @property
    def merge_position(self) -> int:
        return self.history.steps.index(self.tree.merge)


def _histories(trees: Sequence[MergeTree]) -> list[History]:
    """Of each profile in the fields the merge can have touched."""
    fields = _touched_fields(trees)
    members = _members(trees)
    merging = Q(kind__in=[Change.Kind.MERGED, Change.Kind.UNMERGED])
    setting = Q(fields__has_any_keys=sorted({key for keys in fields for key in keys} - SEEN.keys()))
    tree_of = {pk: number for number, rows in enumerate(members) for pk in rows}
    changes: list[list[Change]] = [[] for _ in trees]
    for change in Change.objects.filter(merging | setting, profile_id__in=list(tree_of)).order_by("pk"):
        changes[tree_of[change.profile_id]].append(change)
    return [
        build_history({pk: row_values(row) for pk, row in rows.items()}, tree.edges, journal, keys)
        for tree, rows, journal, keys in zip(trees, members, changes, fields, strict=True)
    ]


def _touched_fields(trees: Sequence[MergeTree]) -> list[set[str]]:
    """What each merge changed, and what arrived at the survivors by those who go back. One query."""
    tree_of = {pk: number for number, tree in enumerate(trees) for pk in tree.path}
    fields: list[set[str]] = [{*tree.merge.after, *SEEN} for tree in trees]
    subtrees = [pk for tree in trees for pk in tree.subtree]
    returning = Change.objects.filter(profile_id__in=list(tree_of), via_id__in=subtrees)
    for profile_id, via_id, journal in returning.values_list("profile_id", "via_id", "fields"):
        number = tree_of[profile_id]
        if via_id in trees[number].subtree:
            fields[number].update(filter(is_attribute, journal))
    return fields


def _members(trees: Sequence[MergeTree]) -> list[dict[int, Profile]]:
    """Every row of each profile. No query when all are locked: nobody is merged into those that are not."""
    unlocked = [[edge.loser_id for edge in tree.edges if edge.loser_id not in tree.rows] for tree in trees]
    rows = Profile.objects.defer("search").in_bulk([pk for ids in unlocked for pk in ids])
    return [tree.rows | {pk: rows[pk] for pk in ids} for tree, ids in zip(trees, unlocked, strict=True)]


def _compared(tree: MergeTree, history: History) -> _Comparison:
    actual = replay(history)
    # Without newer visits on the path: no journal names whose they were, the events do.
    unexplained = {
        pk: {key: value for key, value in values.items() if key not in SEEN or pk not in tree.path}
        for pk, values in actual.unexplained.items()
    }
    return _Comparison(tree, history, actual, replay(history, without=tree.merge, unexplained=unexplained))


# --- First and last visit -----------------------------------------------------------------------------


def _correct_visits(comparisons: Sequence[_Comparison]) -> None:
    """Where first or last visit changed since, take it from each side's own events. At most one query."""
    moved = [(comparison, keys) for comparison in comparisons if (keys := _moved_visits(comparison))]
    if not moved:
        return
    seen = _visits_in_events([comparison.tree.root.pk for comparison, _ in moved])
    for comparison, keys in moved:
        _correct(comparison, keys, seen)


def _moved_visits(comparison: _Comparison) -> list[str]:
    actual = comparison.actual
    return [
        key
        for key in SEEN
        if any(
            (pk, key) in actual.moved_visits or key in actual.unexplained.get(pk, {})
            for pk in comparison.tree.path
        )
    ]


def _correct(
    comparison: _Comparison, keys: Sequence[str], seen: Mapping[str, Mapping[int, datetime.datetime]]
) -> None:
    tree, without, rows = comparison.tree, comparison.without, comparison.history.rows
    winner_of = {edge.loser_id: edge.winner_id for edge in tree.edges if edge.pk != tree.merge.pk}
    for pk in (*tree.path, tree.merge.loser_id):
        for key in keys:
            moments = [seen[key].get(member) for member in graph.subtree_of(pk, winner_of)]
            _extend(without.values[pk], key, moments)
    root = tree.root.pk
    for key in keys:
        everything: Values = {key: None}
        _extend(everything, key, [without.values[pk].get(key) for pk in (root, tree.merge.loser_id)])
        if everything[key] != rows[root].get(key):
            # No event explains it (a visit only counted): it stays with the survivor.
            without.values[root][key] = rows[root].get(key)


def _extend(values: Values, key: str, moments: Iterable[datetime.datetime | None]) -> None:
    known = [moment for moment in (values.get(key), *moments) if moment is not None]
    values[key] = SEEN[key](known) if known else None


def _visits_in_events(root_ids: Sequence[int]) -> dict[str, dict[int, datetime.datetime]]:
    """Each member's first and last event, both ends of one index. One query."""
    rows = run(
        "SELECT p.id, (SELECT min(occurred_at) FROM profiles_event WHERE profile_id = p.id),"
        " (SELECT max(occurred_at) FROM profiles_event WHERE profile_id = p.id)"
        f" FROM {sql.PROFILES} p WHERE p.canonical_id = ANY(%b::bigint[])",
        [list(root_ids)],
    )
    return {
        "first_seen_at": {pk: first for pk, first, _ in rows},
        "last_seen_at": {pk: last for pk, _, last in rows},
    }


# --- What goes back, and what stays -------------------------------------------------------------------


def _returned(comparison: _Comparison) -> list[ReturnedEdits]:
    """What is written on the loser without the merge, in order; neighbours by one ``via_id`` are one."""
    returned: list[ReturnedEdits] = []
    since = comparison.merge_position
    for position, (root_id, wrote) in comparison.without.edits_on.items():
        if position < since or root_id != comparison.tree.merge.loser_id:
            continue
        edit = comparison.history.steps[position]
        assert isinstance(edit, Edit)  # noqa: S101  (only edits are written)
        if not returned or returned[-1].via_id != edit.member_id:
            returned.append(ReturnedEdits(edit.member_id, {}, [], {}))
        for key, (old, new) in wrote.items():
            change = returned[-1].fields.setdefault(key, [old, new])
            change[1] = new
            if key not in SEEN:
                returned[-1].times[key] = edit.at(key).isoformat()
        returned[-1].edits.append({key: edit.fields[key] for key in wrote if key not in SEEN})
    return returned


def _kept(comparisons: Sequence[_Comparison]) -> list[list[dict[str, str]]]:
    """The fields each merge brought that stay on the survivor, with the reason. No query where nothing stays."""
    staying = [_staying(comparison) for comparison in comparisons]
    # Read for the few that are named, not for the whole journal.
    changes = [writer for fields in staying for _, writer, _ in fields if isinstance(writer, Change)]
    prefetch_related_objects(changes, "user", "key", "source")
    kept = []
    for comparison, fields in zip(comparisons, staying, strict=True):
        later_steps = comparison.history.steps[comparison.merge_position :]
        later = {step.change.pk for step in later_steps if not isinstance(step, Merge)}
        reasons = [(key, _reason(writer, otherwise, later)) for key, writer, otherwise in fields]
        kept.append([{"field": key, "reason": reason} for key, reason in reasons if reason])
    return kept


def _staying(comparison: _Comparison) -> list[tuple[str, Writer, Writer]]:
    """``(field, who wrote it as it was, who without the merge)``."""
    tree, actual, without, changes = (
        comparison.tree,
        comparison.actual,
        comparison.without,
        comparison.changes,
    )
    edge_of = {edge.loser_id: edge for edge in tree.edges}
    staying = []
    for key in sorted(actual.effects[tree.merge.pk].keys() - SEEN.keys()):
        for pk in tree.path:
            if key not in changes[pk]:
                staying.append((key, actual.writers[pk][key], without.writers[pk][key]))
                break
            if pk not in edge_of or key not in actual.effects[edge_of[pk].pk]:
                break
    return staying


def _reason(writer: Writer, otherwise: Writer, later: set[int]) -> str:
    """Why a value stands: by who wrote it last, as it was and without the merge."""
    if writer == UNSIGNED:
        return "changed since the merge"
    if isinstance(writer, Change) and writer.pk in later:
        return f"changed by {writer.author} on {day(writer.at)}"
    if isinstance(otherwise, Merge):
        return f"taken from profile #{otherwise.loser_id}, which is merged too"
    return ""
