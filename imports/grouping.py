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
    """One row: the profile it leads to, if any, and the identifiers nobody has yet, strongest first."""

    line: int
    root: int | None
    keys: list[Key]


class Verdict(NamedTuple):
    """``head`` is the first line of the same person; ``clashes`` are ``{position: whose it is}``.

    ``is_conflict``: the row leads to two people and the import holds such rows; it belongs to nobody.
    """

    line: int
    head: int
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
        person = _Person(row.line, row.root)
        clashes: dict[int, _Person | None] = {}
        for position, type_id, value in row.keys:
            if type_id in self._limits:
                mine = person.values.setdefault(type_id, set())
                if value not in mine and len(mine) + self._already(person, type_id) >= self._limits[type_id]:
                    clashes[position] = None
                else:
                    mine.add(value)
        if self._is_strict and not self._fits(person, row):
            self._rows.append((row.line, person, {}, True))
            return
        if row.root is not None:
            same = self._by_root.setdefault(row.root, person)
            if same is not person:
                self._join(same.find(), person)
        for position, type_id, value in row.keys:
            if position in clashes:
                continue
            owner = self._owners.setdefault((type_id, value), person)
            mine_now, theirs = person.find(), owner.find()
            if mine_now is theirs:
                continue
            if self._can_join(theirs, mine_now):
                self._join(theirs, mine_now)
            else:
                clashes[position] = theirs
        self._rows.append((row.line, person, clashes, False))

    def verdicts(self) -> Iterable[Verdict]:
        for line, person, clashes, is_conflict in self._rows:
            whose = {
                position: 0 if other is None else (other.find().root or ANOTHER_ROW)
                for position, other in clashes.items()
            }
            yield Verdict(line, person.find().head, whose, is_conflict)

    def _already(self, person: _Person, type_id: int) -> int:
        return 0 if person.root is None else self._held(person.root, type_id)

    def _fits(self, person: _Person, row: Member) -> bool:
        """Whether everybody the row's identifiers lead to may be one person."""
        together = _Person(
            row.line, person.root, {kind: set(values) for kind, values in person.values.items()}
        )
        met = [self._by_root[row.root]] if row.root in self._by_root else []
        met += [self._owners[kind, value] for _, kind, value in row.keys if (kind, value) in self._owners]
        for other in {id(one.find()): one.find() for one in met}.values():
            if not self._can_join(together, other):
                return False
            together.root = together.root or other.root
            for kind, values in other.values.items():
                together.values.setdefault(kind, set()).update(values)
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
        if keep.root is not None:
            self._by_root[keep.root] = keep
