"""What the rows of one person would say had one of the merges never happened.

Undoing by ``before`` and ``after`` alone is exact for the last merge only. Here the members' rows are played
again from what the journal says they were, through every edit and every active merge in the order they
happened, once as it was and once without the merge to be undone. An edit that arrived by a member's
identifier goes wherever that member is at that moment, so what came by the loser returns with the loser.
Where the first playing does not end at what the rows really say (something wrote without the journal),
the difference counts as an edit nobody signed, and stays.

Pure: no query in here.
"""

from __future__ import annotations

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
    """One journal entry that set values: on ``member_id``, wherever it belongs when played."""

    member_id: int
    fields: dict[str, list[Any]]
    change: Change


Step = Edit | Merge


@dataclass(frozen=True, slots=True)
class History:
    """One person: what the rows say now, what they said first, and the steps between, oldest first.

    ``seen`` is ``{merge id: {field: value}}``: when the winner had been seen first and last, just before.
    """

    rows: dict[int, Values]
    first: dict[int, Values]
    steps: list[Step]
    fields: frozenset[str]
    seen: dict[int, Values]


@dataclass(slots=True)
class Played:
    """How a playing ended.

    ``values`` and ``writers`` per profile and field; ``effects`` is ``{merge id: {field: [before, after]}}``;
    ``landed`` is the profile each edit's values were written to, by position in the steps; ``surprises`` is
    what the rows say beyond that, ``visited`` the ``(profile, field)`` whose first or last visit moved between
    two merges.
    """

    values: dict[int, Values]
    writers: dict[int, dict[str, Writer]]
    effects: dict[int, dict[str, list[Any]]] = field(default_factory=dict)
    landed: dict[int, tuple[int, dict[str, list[Any]]]] = field(default_factory=dict)
    surprises: dict[int, Values] = field(default_factory=dict)
    visited: set[tuple[int, str]] = field(default_factory=set)


def build_history(
    rows: dict[int, Values], merges: Iterable[Merge], changes: Iterable[Change], fields: Iterable[str]
) -> History:
    """Put the journal entries and active merges of one person, both in id order, in the order they happened."""
    wanted = frozenset(fields)
    waiting = {merge.pk: merge for merge in merges}
    steps: list[Step] = []
    first: dict[int, Values] = defaultdict(dict)
    seen: dict[int, Values] = {}
    for change in changes:
        told = {key: pair for key, pair in _told(change).items() if key in wanted}
        for key, (old, _) in told.items():
            if change.profile_id in rows:
                first[change.profile_id].setdefault(key, loaded(key, old))
        if change.kind == Change.Kind.MERGED:
            merge = waiting.get(change.cause_id or 0)
            if merge is not None and merge.winner_id == change.profile_id:
                steps.append(waiting.pop(merge.pk))
                seen[merge.pk] = {key: loaded(key, old) for key, (old, _) in _seen(change).items()}
        elif (member := _edited(change)) in rows and told:
            steps += [Edit(member, edit, change) for edit in _edits(change, told, wanted)]
    # A merge the journal does not know of happened before everything it tells.
    early: list[Step] = list(waiting.values())
    base = {pk: {key: first[pk].get(key, row.get(key)) for key in wanted} for pk, row in rows.items()}
    return History(rows, base, early + steps, wanted, seen)


def _told(change: Change) -> Mapping[str, list[Any]]:
    return {**change.fields, **_seen(change)}


def _seen(change: Change) -> Mapping[str, list[Any]]:
    return (change.detail or {}).get("seen") or {}


def _edits(
    change: Change, told: dict[str, list[Any]], wanted: frozenset[str]
) -> Iterable[dict[str, list[Any]]]:
    """The edits an entry stands for, as they were made: one, or those an undo gave back."""
    made = (change.detail or {}).get("edits")
    if not made:
        return [told]
    edits = [{key: pair for key, pair in edit.items() if key in wanted} for edit in made]
    rest = {key: pair for key, pair in told.items() if not any(key in edit for edit in edits)}
    return [edit for edit in (*edits, rest) if edit]


def _edited(change: Change) -> int | None:
    """The member an entry's values belong to; None for entries that only tell of an undo's repairs."""
    if change.kind == Change.Kind.UNMERGED and (change.detail or {}).get("side") != "loser":
        return None
    return change.via_id or change.profile_id


def play(
    history: History,
    *,
    without: Merge | None = None,
    surprises: Mapping[int, Values] | None = None,
) -> Played:
    """Play the steps. Without ``surprises`` they are found on the way; with them they are put in again."""
    played = Played(
        {pk: dict(values) for pk, values in history.first.items()},
        {pk: dict.fromkeys(history.fields) for pk in history.first},
    )
    above: dict[int, int] = {}
    settled: set[int] = set()

    def settle(pk: int) -> None:
        """Bring a profile to what its row really says, at the moment the row stopped changing."""
        settled.add(pk)
        if surprises is None:
            now = {key: history.rows[pk].get(key) for key in history.fields}
            found = {key: new for key, (_, new) in changed(played.values[pk], now).items()}
            if found:
                played.surprises[pk] = found
        else:
            found = dict(surprises.get(pk, {}))
        played.values[pk].update(found)
        played.writers[pk].update(dict.fromkeys(found, UNSIGNED))

    for place, step in enumerate(history.steps):
        if isinstance(step, Edit):
            root = step.member_id
            while root in above:
                root = above[root]
            played.landed[place] = (root, _write(played, root, step))
        else:
            settle(step.loser_id)
            if without is None or step.pk != without.pk:
                above[step.loser_id] = step.winner_id
                before = played.values[step.winner_id]
                moved = changed(before, history.seen.get(step.pk, {}))
                played.visited.update((step.winner_id, key) for key in moved)
                played.effects[step.pk] = _join(played, step, history.fields)
    for pk in history.first.keys() - settled:
        settle(pk)
    return played


def _write(played: Played, root: int, edit: Edit) -> dict[str, list[Any]]:
    values = played.values[root]
    wrote = {}
    for key, (old, new) in edit.fields.items():
        before = values.get(key)
        values[key] = _edited_list(before, old, new) if isinstance(new, list) else loaded(key, new)
        wrote[key] = [before, values[key]]
        played.writers[root][key] = edit.change
    return wrote


def _edited_list(before: Any, old: Any, new: list[Any]) -> list[Any]:
    """What the edit took out and put in, done to the list as it is here."""
    if before == old:
        return new
    old, before = (value if isinstance(value, list) else [] for value in (old, before))
    kept = [item for item in before if item in new or item not in old]
    return kept + [item for item in new if item not in old and item not in kept]


def _join(played: Played, merge: Merge, fields: Iterable[str]) -> dict[str, list[Any]]:
    winner, loser = played.values[merge.winner_id], played.values[merge.loser_id]
    effect = {}
    for key in fields:
        before = winner.get(key)
        after = combine(key, before, loser.get(key), merge.choices.get(key)).value
        if before != after:
            effect[key] = [before, after]
            winner[key] = after
            played.writers[merge.winner_id][key] = merge
    return effect
