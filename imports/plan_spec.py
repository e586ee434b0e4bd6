"""What a mapping comes to: the columns of the plan's SQL, the same for every row of an import. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# How a value meets one that is there (X3). An empty cell keeps what is there, whatever the policy.
FILL, OVERWRITE, APPEND, NEVER = "fill_if_empty", "overwrite", "append", "never"
POLICIES = {
    FILL: "Fill if empty",
    OVERWRITE: "Overwrite",
    APPEND: "Append",
    NEVER: "New people only",
}


@dataclass(frozen=True, slots=True)
class Slot:
    """One identifier column. ``limit`` is how many values of the type a person may have, None for any number."""

    type_id: int
    type_name: str
    is_unique: bool
    makes_recognized: bool
    limit: int | None


@dataclass(frozen=True, slots=True)
class Custom:
    """One custom attribute column."""

    name: str
    is_list: bool
    policy: str


@dataclass(frozen=True, slots=True)
class Shape:
    """``slots`` come strongest first. ``fields`` maps a default attribute to its policy."""

    slots: tuple[Slot, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    customs: tuple[Custom, ...] = ()
    tags: str = ""
    has_consents: bool = False
    is_strict: bool = False  # hold rows that lead to two people instead of taking the stronger one

    def unique_slots(self) -> Iterator[tuple[int, Slot]]:
        return ((index, slot) for index, slot in enumerate(self.slots) if slot.is_unique)

    def contact_slots(self) -> Iterator[tuple[int, Slot]]:
        return ((index, slot) for index, slot in enumerate(self.slots) if not slot.is_unique)

    @property
    def recognizing(self) -> tuple[int, ...]:
        """Ids of the types whose holder is a recognized person."""
        return tuple(sorted({slot.type_id for slot in self.slots if slot.makes_recognized}))
