"""Which rows of one file are about the same person. Pure.

Two rows are, when they share an identifier or lead to the same profile, and so on through further rows. But
never so that one person would get two profiles or more values of a type than one may have: family members
with a customer id each and one e-mail address stay two people (I7); the address stays with whom the file
names first, and is kept for contact on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

# The value belongs to another row of this file, whose profile does not exist yet.
ANOTHER_ROW = -1


class Key(NamedTuple):
    """``position`` is the value's place in the row's ``keys``."""

    position: int
    type_id: int
    value: str


class Member(NamedTuple):
    """One row: the profile it leads to, if any, and the identifiers nobody has yet, strongest first.

    ``root_at`` is the position of the identifier that leads to the profile.
    """

    line: int
    root: int | None
    keys: list[Key]
    root_at: int = -1


class Verdict(NamedTuple):
    """``head`` is the first line of the same person, ``root`` that person's profile if there is one.

    ``clashes`` are ``{position: whose it is}``. ``is_conflict``: the row leads to two people and the import
    holds such rows; it belongs to nobody.
    """

    line: int
    head: int
    root: int | None
    clashes: dict[int, int]
    is_conflict: bool = False


@dataclass(slots=True, eq=False)
class _Person:
    head: int
    root: int | None
    values: dict[int, set[str]] = field(default_factory=dict)  # of limited types
    moved: _Person | None = None

    def find(self) -> _Person:
        person = self
        while person.moved is not None:
            if person.moved.moved is not None:
                person.moved = person.moved.moved
            person = person.moved
        return person


class Grouping:
    """Takes the rows of one component in line order, then tells each row's head.

    ``limits`` is ``{type: values one person may have}``; ``held(root, type)`` how many they have already.
    """

    def __init__(
        self, limits: Mapping[int, int], held: Callable[[int, int], int], *, is_strict: bool
    ) -> None:
        self._limits = limits
        self._held = held
        self._is_strict = is_strict
        self._owners: dict[tuple[int, str], _Person] = {}
        self._by_root: dict[int, _Person] = {}
        self._rows: list[tuple[int, _Person, dict[int, _Person | None], bool]] = []

    def add(self, row: Member) -> None:
        if self._is_strict and not self._fits(row):
            self._rows.append((row.line, _Person(row.line, row.root), {}, True))
            return
        person = _Person(row.line, None)
        clashes: dict[int, _Person | None] = {}
        for key in _steps(row):
            if key is None:
                self._lead(person.find(), row.root or 0)
            else:
                self._give(person.find(), key, clashes)
        self._rows.append((row.line, person, clashes, False))

    def verdicts(self) -> Iterable[Verdict]:
        for line, person, clashes, is_conflict in self._rows:
            whose = {
                position: 0 if other is None else (other.find().root or ANOTHER_ROW)
                for position, other in clashes.items()
            }
            yield Verdict(line, person.find().head, person.find().root, whose, is_conflict)

    def _lead(self, person: _Person, root: int) -> None:
        """The row's known identifier: its profile is this person's, unless stronger values say otherwise."""
        known = self._by_root.get(root)
        theirs = known.find() if known else _Person(person.head, root)
        if theirs is not person and self._can_join(theirs, person):
            self._join(theirs, person)
            self._by_root[root] = theirs

    def _give(self, person: _Person, key: Key, clashes: dict[int, _Person | None]) -> None:
        pair = (key.type_id, key.value)
        owner = self._owners.get(pair)
        if owner is None:
            if self._has_room(person, key):
                self._owners[pair] = person
                if key.type_id in self._limits:
                    person.values.setdefault(key.type_id, set()).add(key.value)
            else:
                clashes[key.position] = None
            return
        theirs = owner.find()
        if theirs is not person:
            if self._can_join(theirs, person):
                self._join(theirs, person)
            else:
                clashes[key.position] = theirs

    def _has_room(self, person: _Person, key: Key) -> bool:
        limit = self._limits.get(key.type_id)
        if limit is None:
            return True
        have = 0 if person.root is None else self._held(person.root, key.type_id)
        return len(person.values.get(key.type_id, ())) + have < limit

    def _fits(self, row: Member) -> bool:
        """Whether everybody the row's identifiers lead to may be one person. Changes nothing."""
        together = _Person(row.line, None)
        for key in _steps(row):
            if key is None:
                known = self._by_root.get(row.root or 0)
                other = known.find() if known else _Person(row.line, row.root)
            elif owner := self._owners.get((key.type_id, key.value)):
                other = owner.find()
            else:
                if key.type_id in self._limits and self._has_room(together, key):
                    together.values.setdefault(key.type_id, set()).add(key.value)
                continue
            if not self._can_join(together, other):
                return False
            together.root = together.root or other.root
            for kind, more in other.values.items():
                together.values.setdefault(kind, set()).update(more)
        return True

    def _can_join(self, one: _Person, other: _Person) -> bool:
        if one.root is not None and other.root is not None and one.root != other.root:
            return False
        root = one.root if one.root is not None else other.root
        for kind, limit in self._limits.items():
            values = one.values.get(kind, set()) | other.values.get(kind, set())
            if values and len(values) + (0 if root is None else self._held(root, kind)) > limit:
                return False
        return True

    def _join(self, keep: _Person, gone: _Person) -> None:
        keep.head = min(keep.head, gone.head)
        if keep.root is None and gone.root is not None:
            keep.root = gone.root
        for kind, values in gone.values.items():
            keep.values.setdefault(kind, set()).update(values)
        gone.moved = keep
        if keep.root is not None and keep.root in self._by_root:
            self._by_root[keep.root] = keep


def _steps(row: Member) -> list[Key | None]:
    """The row's identifiers, strongest first; None stands for the one its profile is known by."""
    if row.root is None:
        return list(row.keys)
    stronger = [key for key in row.keys if key.position < row.root_at]
    return [*stronger, None, *row.keys[len(stronger) :]]
