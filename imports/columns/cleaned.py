"""The types of a cleaned row: its values, and what is wrong with its cells."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class CellProblem(NamedTuple):
    """A bad cell. `column` is its header, "" for the row as a whole."""

    column: str
    value: str
    message: str


class Cleaned:
    """The clean values of one row. With `problems` it must be rejected; `warnings` are reported, the row is imported.

    A cell that was left out because it cannot be read is a warning.
    """

    __slots__ = (
        "clears",
        "consents",
        "emptied",
        "identifiers",
        "line_no",
        "problems",
        "tags",
        "values",
        "warnings",
    )

    def __init__(self, line_no: int) -> None:
        self.line_no = line_no
        self.values: dict[str, Any] = {}  # field → JSON value
        self.identifiers: list[tuple[str, str, str]] = []  # type, normal form, raw ("" when it is the same)
        self.tags: list[str] = []
        self.consents: list[tuple[str, str, str, str | None, str]] = []  # channel, purpose, state, at, proof
        self.clears: list[str] = []  # fields to empty
        self.problems: list[CellProblem] = []
        self.warnings: list[CellProblem] = []
        self.emptied: Sequence[tuple[str, str]] = ()  # column and word of cells read as empty
