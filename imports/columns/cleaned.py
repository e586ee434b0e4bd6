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

    A cell that was left out because it cannot be read is a warning. Cells have numbers: `Mapping.cell_columns`.
    """

    __slots__ = (
        "cell_marks",
        "clears",
        "consents",
        "emptied",
        "identifier_cells",
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
        self.identifier_cells: list[
            int
        ] = []  # beside `identifiers`: the number of the cell, -1 for a constant
        self.tags: list[str] = []
        self.consents: list[tuple[str, str, str, str | None, str]] = []  # channel, purpose, state, at, proof
        self.clears: list[str] = []  # fields to empty
        self.problems: list[CellProblem] = []
        self.warnings: list[CellProblem] = []
        self.emptied: Sequence[tuple[str, str]] = ()  # column and word of cells read as empty
        self.cell_marks: Sequence[
            tuple[int, str]
        ] = ()  # number and `cell_marks` of filled cells without a value

    def mark(self, cell: int, mark: str) -> None:
        """Say why a filled cell gave no value; the first reason stands."""
        if all(number != cell for number, _ in self.cell_marks):
            self.cell_marks = [*self.cell_marks, (cell, mark)]
