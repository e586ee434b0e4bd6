"""A place where apps plug in: what each registered in ``AppConfig.ready()`` → one ordered, read-only view of it.

The module that offers a place makes a ``Registry`` and says what its entries must be; apps above fill it. So
imports point one way: nothing here names an app.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries by unique name, read in the order of ``order`` and then of registration."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._entries: dict[str, tuple[int, T]] = {}

    def register(self, name: str, entry: T, *, order: int = 100) -> T:
        """Add an entry. Raises ValueError when another one has the name: two apps would overwrite each other."""
        if name in self._entries and self._entries[name][1] != entry:
            raise ValueError(f"{self._what} “{name}” is registered twice.")
        self._entries[name] = (order, entry)
        return entry

    def unregister(self, name: str) -> None:
        del self._entries[name]

    def items(self) -> list[tuple[str, T]]:
        by_order = sorted(self._entries.items(), key=lambda item: item[1][0])
        return [(name, entry) for name, (_, entry) in by_order]

    def order_of(self, name: str) -> int:
        """What the entry was registered with, for a list that has entries of its own between those of apps."""
        return self._entries[name][0]

    def __iter__(self) -> Iterator[T]:
        return (entry for _, entry in self.items())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> T:
        return self._entries[name][1]

    def __len__(self) -> int:
        return len(self._entries)
