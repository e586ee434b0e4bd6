"""The journal of one profile → what its rows would say had one of its merges never happened. Pure, no query in here.

Undoing by ``before`` and ``after`` alone is exact for the last merge only. Here the members' rows are replayed
from what the journal says they were, through every edit and every active merge in the order they
happened, once as it was and once without the merge to be undone. An edit that arrived by a member's
identifier goes wherever that member is at that moment, so what came by the loser returns with the loser.
Where the first replay does not end at what the rows really say (something wrote without the journal),
the difference counts as an edit nobody signed, and stays.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from profiles.models import Change, Merge
from profiles.values.merged_fields import Values, changed, combine, loaded

UNSIGNED = "unsigned"
Writer = Change | Merge | str | None


@dataclass(frozen=True, slots=True)
class Edit:
    """One journal entry that set values: on ``member_id``, wherever that belongs when replayed."""

    member_id: int
    fields: dict[str, list[Any]]
    change: Change

    def at(self, key: str) -> datetime.datetime:
        """When the value came in first: what an undo gave back came in before it."""
        first = ((self.change.detail or {}).get("times") or {}).get(key)
        return datetime.datetime.fromisoformat(first) if first else self.change.at


Step = Edit | Merge
Times = dict[str, datetime.datetime | None]


@dataclass(frozen=True, slots=True)
class History:
    """One profile: what its rows say now, what they said first, and the steps between, oldest first.

    ``visits_before`` is ``{merge id: {field: value}}``: when the winner had been seen first and last, just before.
    """

    rows: dict[int, Values]
    first: dict[int, Values]
    steps: list[Step]
    fields: frozenset[str]
    visits_before: dict[int, Values]


@dataclass(slots=True)
class Replay:
    """How a replay ended.

    ``values``, ``writers`` and when the journal says a value came in (``times``) per profile and field; ``effects`` is ``{merge id: {field: [before, after]}}``;
    ``edits_on`` is ``{position of the edit: (profile it was written on, what it changed)}``; ``unexplained`` is what
    the rows say beyond that, ``moved_visits`` the ``(profile, field)`` whose first or last visit changed between
    two merges.
    """

    values: dict[int, Values]
    writers: dict[int, dict[str, Writer]]
    times: dict[int, Times]
    effects: dict[int, dict[str, list[Any]]] = field(default_factory=dict)
    edits_on: dict[int, tuple[int, dict[str, list[Any]]]] = field(default_factory=dict)
    unexplained: dict[int, Values] = field(default_factory=dict)
    moved_visits: set[tuple[int, str]] = field(default_factory=set)


def build_history(
    rows: dict[int, Values], merges: Iterable[Merge], changes: Iterable[Change], fields: Iterable[str]
) -> History:
    """Put the journal entries and active merges of one profile, both in id order, in the order they happened."""
    wanted = frozenset(fields)
    unplaced = {merge.pk: merge for merge in merges}
    steps: list[Step] = []
    first: dict[int, Values] = defaultdict(dict)
    visits: dict[int, Values] = {}
    for change in changes:
        entry = {key: pair for key, pair in _fields_of(change).items() if key in wanted}
        for key, (old, _) in entry.items():
            if change.profile_id in rows:
                first[change.profile_id].setdefault(key, loaded(key, old))
        if change.kind == Change.Kind.MERGED:
            merge = unplaced.get(change.cause_id or 0)
            if merge is not None and merge.winner_id == change.profile_id:
                steps.append(unplaced.pop(merge.pk))
                visits[merge.pk] = {key: loaded(key, old) for key, (old, _) in _visits_of(change).items()}
        elif (member := _edited_member(change)) in rows and entry:
            steps += [Edit(member, edit, change) for edit in _edits_of(change, entry, wanted)]
    # A merge the journal does not know of happened before everything in it.
    early: list[Step] = list(unplaced.values())
    base = {pk: {key: first[pk].get(key, row.get(key)) for key in wanted} for pk, row in rows.items()}
    return History(rows, base, early + steps, wanted, visits)


def _fields_of(change: Change) -> Mapping[str, list[Any]]:
    return {**change.fields, **_visits_of(change)}


def _visits_of(change: Change) -> Mapping[str, list[Any]]:
    return (change.detail or {}).get("seen") or {}


def _edits_of(
    change: Change, entry: dict[str, list[Any]], wanted: frozenset[str]
) -> Iterable[dict[str, list[Any]]]:
    """The edits an entry stands for, as they were made: itself, or those an undo gave back."""
    returned = (change.detail or {}).get("edits")
    if not returned:
        return [entry]
    edits = [{key: pair for key, pair in edit.items() if key in wanted} for edit in returned]
    rest = {key: pair for key, pair in entry.items() if not any(key in edit for edit in edits)}
    return [edit for edit in (*edits, rest) if edit]


def _edited_member(change: Change) -> int | None:
    """The member an entry's values belong to; None for entries that only record an undo's repairs."""
    if change.kind == Change.Kind.UNMERGED and (change.detail or {}).get("side") != "loser":
        return None
    return change.via_id or change.profile_id


def replay(
    history: History,
    *,
    without: Merge | None = None,
    unexplained: Mapping[int, Values] | None = None,
) -> Replay:
    """Replay the steps. Without ``unexplained`` it is found on the way; with it, it is put in again."""
    result = Replay(
        {pk: dict(values) for pk, values in history.first.items()},
        {pk: dict.fromkeys(history.fields) for pk in history.first},
        {pk: dict.fromkeys(history.fields) for pk in history.first},
    )
    winner_of: dict[int, int] = {}
    settled: set[int] = set()

    def settle(pk: int) -> None:
        """Bring a profile to what its row really says, at the moment the row stopped changing."""
        settled.add(pk)
        if unexplained is None:
            now = {key: history.rows[pk].get(key) for key in history.fields}
            difference = {key: new for key, (_, new) in changed(result.values[pk], now).items()}
            if difference:
                result.unexplained[pk] = difference
        else:
            difference = dict(unexplained.get(pk, {}))
        result.values[pk].update(difference)
        result.writers[pk].update(dict.fromkeys(difference, UNSIGNED))

    for position, step in enumerate(history.steps):
        if isinstance(step, Edit):
            root = step.member_id
            while root in winner_of:
                root = winner_of[root]
            result.edits_on[position] = (root, _write(result, root, step))
        else:
            settle(step.loser_id)
            if without is None or step.pk != without.pk:
                winner_of[step.loser_id] = step.winner_id
                before = result.values[step.winner_id]
                moved = changed(before, history.visits_before.get(step.pk, {}))
                result.moved_visits.update((step.winner_id, key) for key in moved)
                result.effects[step.pk] = _merge(result, step, history.fields)
    for pk in history.first.keys() - settled:
        settle(pk)
    return result


def _write(result: Replay, root: int, edit: Edit) -> dict[str, list[Any]]:
    values = result.values[root]
    wrote = {}
    for key, (old, new) in edit.fields.items():
        before = values.get(key)
        values[key] = _edited_list(before, old, new) if isinstance(new, list) else loaded(key, new)
        wrote[key] = [before, values[key]]
        result.writers[root][key] = edit.change
        result.times[root][key] = edit.at(key)
    return wrote


def _edited_list(before: Any, old: Any, new: list[Any]) -> list[Any]:
    """What the edit took out and put in, done to the list as it is here."""
    if before == old:
        return new
    old, before = (value if isinstance(value, list) else [] for value in (old, before))
    kept = [item for item in before if item in new or item not in old]
    return kept + [item for item in new if item not in old and item not in kept]


def _merge(result: Replay, merge: Merge, fields: Iterable[str]) -> dict[str, list[Any]]:
    winner, loser = result.values[merge.winner_id], result.values[merge.loser_id]
    times = (result.times[merge.winner_id], result.times[merge.loser_id])
    effect = {}
    for key in fields:
        before = winner.get(key)
        after = combine(
            key,
            before,
            loser.get(key),
            merge.choices.get(key),
            rule=merge.rules.get(key, ""),
            is_loser_newer=is_newer(*times, key),
        ).value
        if before != after:
            effect[key] = [before, after]
            winner[key] = after
            result.writers[merge.winner_id][key] = merge
            take_time(*times, key, is_taken=after == loser.get(key))
    return effect


def is_newer(winner: Times, loser: Times, key: str) -> bool:
    """Whether the loser's value came in later. What no journal entry names is older than everything."""
    ours, theirs = winner.get(key), loser.get(key)
    return theirs is not None and (ours is None or theirs > ours)


def take_time(winner: Times, loser: Times, key: str, *, is_taken: bool) -> None:
    """The time of a value that a merge changed: of the one taken, else (a sum, a united list) of the newer one."""
    if is_taken or is_newer(winner, loser, key):
        winner[key] = loser.get(key)
