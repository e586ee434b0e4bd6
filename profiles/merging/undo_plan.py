"""What the rows of some people say without one merge of each, before anything is written."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, prefetch_related_objects

from cdp.sql import run
from cdp.times import day
from profiles.identity import graph
from profiles.merging.merge_tree import Tree
from profiles.merging.undo_replay import UNSIGNED, History, Played, Writer, build_history, play
from profiles.merging.wording import who
from profiles.models import Change, Merge, Profile
from profiles.values.merged_fields import SEEN, Values, changed, is_attribute, row_values


@dataclass(frozen=True, slots=True)
class Returned:
    """What lands on the loser again: ``fields`` as they change its row, ``edits`` as they were made once."""

    via: int | None
    fields: dict[str, list[Any]]
    edits: list[dict[str, list[Any]]]


@dataclass(frozen=True, slots=True)
class Without:
    """A tree without its merge.

    ``new``: ``{profile id: {field: [old, new]}}`` of the chain and the loser; ``received`` is what lands on the loser
    again; ``effects`` what each later merge changes then; ``fields`` are those that were looked at; ``kept``:
    ``[{"field", "reason"}]``, what the merge brought and what stays.
    """

    tree: Tree
    fields: frozenset[str]
    new: dict[int, dict[str, list[Any]]]
    received: list[Returned]
    effects: dict[int, dict[str, list[Any]]]
    kept: list[dict[str, str]]

    @property
    def told(self) -> dict[int, dict[str, list[Any]]]:
        """``new`` as the journal names it: first and last visit are not told."""
        return {
            pk: {key: pair for key, pair in fields.items() if key not in SEEN}
            for pk, fields in self.new.items()
        }


def play_without(trees: Sequence[Tree]) -> list[Without]:
    """Each person's history played as it was and without the merge. Two to seven queries for any number."""
    plays = [_played(tree, history) for tree, history in zip(trees, _histories(trees), strict=True)]
    _correct_seen(plays)
    reasons = _reasons(plays)
    return [
        Without(
            tree=one.tree,
            fields=one.history.fields,
            new=one.new,
            received=_received(one),
            effects=one.without.effects,
            kept=kept,
        )
        for one, kept in zip(plays, reasons, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _BothWays:
    """A person's history, as it was and without the merge."""

    tree: Tree
    history: History
    actual: Played
    without: Played

    @property
    def new(self) -> dict[int, dict[str, list[Any]]]:
        sides = (*self.tree.chain, self.tree.merge.loser_id)
        return {pk: changed(self.history.rows[pk], self.without.values[pk]) for pk in sides}

    @property
    def since(self) -> int:
        return self.history.steps.index(self.tree.merge)


def _histories(trees: Sequence[Tree]) -> list[History]:
    """Of each person in the fields the merge can have touched."""
    fields = _touched(trees)
    members = _members(trees)
    merging = Q(kind__in=[Change.Kind.MERGED, Change.Kind.UNMERGED])
    setting = Q(fields__has_any_keys=sorted({key for keys in fields for key in keys} - SEEN.keys()))
    place = {pk: number for number, rows in enumerate(members) for pk in rows}
    changes: list[list[Change]] = [[] for _ in trees]
    for change in Change.objects.filter(merging | setting, profile_id__in=list(place)).order_by("pk"):
        changes[place[change.profile_id]].append(change)
    return [
        build_history({pk: row_values(row) for pk, row in rows.items()}, tree.edges, theirs, keys)
        for tree, rows, theirs, keys in zip(trees, members, changes, fields, strict=True)
    ]


def _touched(trees: Sequence[Tree]) -> list[set[str]]:
    """What each merge changed, and what arrived at the survivors by those who go back. One query."""
    place = {pk: number for number, tree in enumerate(trees) for pk in tree.chain}
    fields: list[set[str]] = [{*tree.merge.after, *SEEN} for tree in trees]
    sides = [pk for tree in trees for pk in tree.side]
    returning = Change.objects.filter(profile_id__in=list(place), via_id__in=sides)
    for profile_id, via_id, told in returning.values_list("profile_id", "via_id", "fields"):
        number = place[profile_id]
        if via_id in trees[number].side:
            fields[number].update(filter(is_attribute, told))
    return fields


def _members(trees: Sequence[Tree]) -> list[dict[int, Profile]]:
    """Every row of each person. No query when all are held: nobody is merged into those that are not."""
    others = [[edge.loser_id for edge in tree.edges if edge.loser_id not in tree.held] for tree in trees]
    rows = Profile.objects.defer("search").in_bulk([pk for some in others for pk in some])
    return [tree.held | {pk: rows[pk] for pk in some} for tree, some in zip(trees, others, strict=True)]


def _played(tree: Tree, history: History) -> _BothWays:
    actual = play(history)
    # The surprises but for newer visits on the chain: no journal tells whose they were, the events do.
    surprises = {
        pk: {key: value for key, value in found.items() if key not in SEEN or pk not in tree.chain}
        for pk, found in actual.surprises.items()
    }
    return _BothWays(tree, history, actual, play(history, without=tree.merge, surprises=surprises))


# --- First and last seen ------------------------------------------------------------------------------


def _correct_seen(plays: Sequence[_BothWays]) -> None:
    """Where first or last seen moved since, take it from each side's own events. At most one query."""
    moved = [(one, keys) for one in plays if (keys := _moved(one))]
    if not moved:
        return
    seen = _seen_in_events([one.tree.root.pk for one, _ in moved])
    for one, keys in moved:
        _correct(one, keys, seen)


def _moved(one: _BothWays) -> list[str]:
    actual = one.actual
    return [
        key
        for key in SEEN
        if any((pk, key) in actual.visited or key in actual.surprises.get(pk, {}) for pk in one.tree.chain)
    ]


def _correct(
    one: _BothWays, keys: Sequence[str], seen: Mapping[str, Mapping[int, datetime.datetime]]
) -> None:
    tree, without, rows = one.tree, one.without, one.history.rows
    winner_of = {edge.loser_id: edge.winner_id for edge in tree.edges if edge.pk != tree.merge.pk}
    for pk in (*tree.chain, tree.merge.loser_id):
        for key in keys:
            moments = [seen[key].get(member) for member in graph.side_of(pk, winner_of)]
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


def _seen_in_events(root_ids: Sequence[int]) -> dict[str, dict[int, datetime.datetime]]:
    """Each member's first and last event, both ends of one index. One query."""
    rows = run(
        "SELECT p.id, (SELECT min(occurred_at) FROM profiles_event WHERE profile_id = p.id),"
        " (SELECT max(occurred_at) FROM profiles_event WHERE profile_id = p.id)"
        " FROM profiles_profile p WHERE p.canonical_id = ANY(%b::bigint[])",
        [list(root_ids)],
    )
    return {
        "first_seen_at": {pk: first for pk, first, _ in rows},
        "last_seen_at": {pk: last for pk, _, last in rows},
    }


# --- What goes along, and what stays ------------------------------------------------------------------


def _received(one: _BothWays) -> list[Returned]:
    """What lands on the loser without the merge, in order; neighbours by one via are one."""
    found: list[Returned] = []
    since = one.since
    for place, (root, wrote) in one.without.landed.items():
        if place < since or root != one.tree.merge.loser_id:
            continue
        step = one.history.steps[place]
        via = step.member_id  # type: ignore[union-attr]
        if not found or found[-1].via != via:
            found.append(Returned(via, {}, []))
        for key, (old, new) in wrote.items():
            told = found[-1].fields.setdefault(key, [old, new])
            told[1] = new
        found[-1].edits.append({key: step.fields[key] for key in wrote if key not in SEEN})  # type: ignore[union-attr]
    return found


def _reasons(plays: Sequence[_BothWays]) -> list[list[dict[str, str]]]:
    """The fields each merge brought that stay on the survivor, with the reason. No query where nothing stays."""
    stays = [_stays(one) for one in plays]
    # Read for the few that are named, not for the whole journal.
    changes = [writer for some in stays for _, writer, _ in some if isinstance(writer, Change)]
    prefetch_related_objects(changes, "user", "key", "source")
    found = []
    for one, some in zip(plays, stays, strict=True):
        late = {step.change.pk for step in one.history.steps[one.since :] if not isinstance(step, Merge)}
        told = [(key, _reason(writer, otherwise, late)) for key, writer, otherwise in some]
        found.append([{"field": key, "reason": reason} for key, reason in told if reason])
    return found


def _stays(one: _BothWays) -> list[tuple[str, Writer, Writer]]:
    """``(field, who wrote it as it was, who without the merge)``."""
    tree, actual, without, new = one.tree, one.actual, one.without, one.new
    edge_to = {edge.loser_id: edge for edge in tree.edges}
    stays = []
    for key in sorted(actual.effects[tree.merge.pk].keys() - SEEN.keys()):
        for pk in tree.chain:
            if key not in new[pk]:
                stays.append((key, actual.writers[pk][key], without.writers[pk][key]))
                break
            if pk not in edge_to or key not in actual.effects[edge_to[pk].pk]:
                break
    return stays


def _reason(writer: Writer, otherwise: Writer, late: set[int]) -> str:
    """Why a value stands: by who wrote it last, as it was and without the merge."""
    if writer == UNSIGNED:
        return "changed since the merge"
    if isinstance(writer, Change) and writer.pk in late:
        return f"changed by {who(writer)} on {day(writer.at)}"
    if isinstance(otherwise, Merge):
        return f"taken from profile #{otherwise.loser_id}, which is merged too"
    return ""
