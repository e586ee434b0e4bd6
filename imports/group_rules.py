"""Rows of one file that share identifiers → which of them are about the same profile. Pure.

Two rows are, when they share an identifier or match the same profile, and so on through further rows. But
never so that a group would have two profiles or more values of a type than a profile may have: family members
with a customer id each and the same e-mail address stay two profiles; the address stays with the row that comes
first, and is stored for contact on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

# The value belongs to another row of this file, whose profile does not exist yet.
ANOTHER_ROW = -1


class RowIdentifier(NamedTuple):
    """``position`` is the value's index in the row's ``keys``."""

    position: int
    type_id: int
    value: str


class LinkedRow(NamedTuple):
    """A row of a component: the profile it matches, if any, and the identifiers no profile has, strongest first.

    ``root_position`` is the position of the identifier that matches the profile, -1 when nothing is new in it.
    """

    line_no: int
    root: int | None
    identifiers: list[RowIdentifier]
    root_position: int = -1


class GroupedRow(NamedTuple):
    """``head`` is the first line of the row's group, ``root`` the group's profile if there is one.

    ``clashes`` are ``{position: id of the profile that has the value}``. ``is_conflict``: the row matches two
    profiles and the import is strict; it belongs to no group.
    """

    line_no: int
    head: int
    root: int | None
    clashes: dict[int, int]
    is_conflict: bool = False


@dataclass(slots=True, eq=False)
class _Group:
    """Rows about the same profile. A union-find node: ``merged_into`` leads to the group it became part of."""

    head: int
    root: int | None
    values: dict[int, set[str]] = field(default_factory=dict)  # of types with a limit
    merged_into: _Group | None = None

    def current(self) -> _Group:
        group = self
        while group.merged_into is not None:
            if group.merged_into.merged_into is not None:
                group.merged_into = group.merged_into.merged_into
            group = group.merged_into
        return group


class RowGrouping:
    """Takes the rows of one component in line order, then yields each row's group.

    ``limits`` is ``{type id: values a profile may have}``; ``stored(root, type id)`` how many it has already.
    """

    def __init__(
        self, limits: Mapping[int, int], stored: Callable[[int, int], int], *, is_strict: bool
    ) -> None:
        self._limits = limits
        self._stored = stored
        self._is_strict = is_strict
        self._owners: dict[tuple[int, str], _Group] = {}
        self._by_root: dict[int, _Group] = {}
        self._rows: list[tuple[int, _Group, dict[int, _Group | None], bool]] = []

    def add(self, row: LinkedRow) -> None:
        if self._is_strict and not self._fits(row):
            self._rows.append((row.line_no, _Group(row.line_no, row.root), {}, True))
            return
        group = _Group(row.line_no, None)
        clashes: dict[int, _Group | None] = {}
        for identifier in _by_strength(row):
            if identifier is None:
                self._match_root(group.current(), row.root or 0)
            else:
                self._assign(group.current(), identifier, clashes)
        self._rows.append((row.line_no, group, clashes, False))

    def grouped_rows(self) -> Iterable[GroupedRow]:
        for line_no, group, clashes, is_conflict in self._rows:
            owner_ids = {
                position: 0 if owner is None else (owner.current().root or ANOTHER_ROW)
                for position, owner in clashes.items()
            }
            current = group.current()
            yield GroupedRow(line_no, current.head, current.root, owner_ids, is_conflict)

    def _match_root(self, group: _Group, root: int) -> None:
        """The identifier that matches a profile: it becomes the group's, unless stronger values forbid it."""
        known = self._by_root.get(root)
        root_group = known.current() if known else _Group(group.head, root)
        if root_group is not group and self._can_merge(root_group, group):
            self._merge(root_group, group)
            self._by_root[root] = root_group

    def _assign(self, group: _Group, identifier: RowIdentifier, clashes: dict[int, _Group | None]) -> None:
        pair = (identifier.type_id, identifier.value)
        owner = self._owners.get(pair)
        if owner is None:
            if self._has_room(group, identifier):
                self._owners[pair] = group
                if identifier.type_id in self._limits:
                    group.values.setdefault(identifier.type_id, set()).add(identifier.value)
            else:
                clashes[identifier.position] = None
            return
        owner = owner.current()
        if owner is not group:
            if self._can_merge(owner, group):
                self._merge(owner, group)
            else:
                clashes[identifier.position] = owner

    def _has_room(self, group: _Group, identifier: RowIdentifier) -> bool:
        limit = self._limits.get(identifier.type_id)
        if limit is None:
            return True
        stored = 0 if group.root is None else self._stored(group.root, identifier.type_id)
        return len(group.values.get(identifier.type_id, ())) + stored < limit

    def _fits(self, row: LinkedRow) -> bool:
        """Whether all groups the row's identifiers belong to may be the same profile. Changes nothing."""
        merged = _Group(row.line_no, None)
        for identifier in _by_strength(row):
            if identifier is None:
                known = self._by_root.get(row.root or 0)
                group = known.current() if known else _Group(row.line_no, row.root)
            elif owner := self._owners.get((identifier.type_id, identifier.value)):
                group = owner.current()
            else:
                if identifier.type_id in self._limits and self._has_room(merged, identifier):
                    merged.values.setdefault(identifier.type_id, set()).add(identifier.value)
                continue
            if not self._can_merge(merged, group):
                return False
            merged.root = merged.root or group.root
            for type_id, values in group.values.items():
                merged.values.setdefault(type_id, set()).update(values)
        return True

    def _can_merge(self, a: _Group, b: _Group) -> bool:
        if a.root is not None and b.root is not None and a.root != b.root:
            return False
        root = a.root if a.root is not None else b.root
        for type_id, limit in self._limits.items():
            values = a.values.get(type_id, set()) | b.values.get(type_id, set())
            if values and len(values) + (0 if root is None else self._stored(root, type_id)) > limit:
                return False
        return True

    def _merge(self, winner: _Group, loser: _Group) -> None:
        winner.head = min(winner.head, loser.head)
        if winner.root is None and loser.root is not None:
            winner.root = loser.root
        for type_id, values in loser.values.items():
            winner.values.setdefault(type_id, set()).update(values)
        loser.merged_into = winner
        if winner.root is not None and winner.root in self._by_root:
            self._by_root[winner.root] = winner


def _by_strength(row: LinkedRow) -> list[RowIdentifier | None]:
    """The row's identifiers, strongest first; None stands for the one that matches its profile."""
    if row.root is None:
        return list(row.identifiers)
    stronger = [identifier for identifier in row.identifiers if identifier.position < row.root_position]
    return [*stronger, None, *row.identifiers[len(stronger) :]]
