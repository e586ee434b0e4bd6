"""A cell's mark and what the plan does with its row → the one outcome of the cell, with its reason; and their sums.

Every filled cell of a file has exactly one of ``OUTCOMES``, by one of ``REASONS``. A cell with several parts (a whole
name, an e-mail address that is an attribute and an identifier) has the first of ``BEST`` that any part has. A cell of
an ignored column is ignored, whatever becomes of its row; a cell of a rejected row is rejected with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from imports.columns import BIRTHDAY, Mapping
from imports.columns import cell_marks as marks
from imports.models import Import, Row
from imports.plan_spec import PlanSpec

STORED, SAME, KEPT_OUT, ALTERNATE = "stored", "same", "kept_out", "alternate"
LEFT_OUT, ROW_REJECTED, IGNORED, OUTSIDE = "left_out", "row_rejected", "ignored", "outside_table"

# What they are called on pages and in the mail, in the order of both.
OUTCOMES = {
    STORED: "stored",
    SAME: "the same already",
    KEPT_OUT: "kept out",
    ALTERNATE: "kept as alternates",
    LEFT_OUT: "left out",
    ROW_REJECTED: "in rejected rows",
    IGNORED: "in ignored columns",
    OUTSIDE: "in no column",
}
REASONS = {
    "stored": (STORED, "The person has the value from this file."),
    "same": (SAME, "The person has the value already."),
    "repeated": (SAME, "Another cell about the person in this file says the same."),
    "known_alternate": (SAME, "The value is an alternate of the person already."),
    "kept_out": (KEPT_OUT, "The person has tags, or has decided about the consent, and that stays."),
    "alternate": (ALTERNATE, "The person keeps another value; this one is an alternate on the card."),
    "unreadable": (LEFT_OUT, "It cannot be read as what its column is for."),
    "empty_word": (LEFT_OUT, "A word for empty, such as NULL or n/a."),
    "stand_in": (LEFT_OUT, "A stand-in that identifies nobody, such as 000000."),
    "shared_identifier": (LEFT_OUT, "An identifier that too many unlike people share."),
    "no_decision": (LEFT_OUT, "It decides nothing about a consent: a proof or a clear yes or no is missing."),
    "nothing": (LEFT_OUT, "Nothing is left of it: it has no character that can be seen or stored."),
    "failed": (ROW_REJECTED, "The row was rejected."),
    "conflict": (ROW_REJECTED, "The row matches two people."),
    "held": (ROW_REJECTED, "The person changed after the plan."),
    "suppressed": (ROW_REJECTED, "The person was erased."),
    "not_applied": (ROW_REJECTED, "The import ended before the row."),
    "ignored": (IGNORED, "The column is not imported."),
    "header": (OUTSIDE, "In the header."),
    "above_header": (OUTSIDE, "Above the header."),
    "beyond": (OUTSIDE, "Beside the table: its row has more cells than the header."),
}
# What a whole cell is of which several things are true: nothing stored or lost hides behind “the same”.
BEST = (STORED, ALTERNATE, KEPT_OUT, LEFT_OUT, SAME)

_RANK = {reason: BEST.index(outcome) for reason, (outcome, _) in REASONS.items() if outcome in BEST}
_REJECTING = frozenset(("failed", "conflict", "held", "suppressed", "not_applied"))
_BY_MARK = {
    marks.EMPTY_WORD: "empty_word",
    marks.UNREADABLE: "unreadable",
    marks.STAND_IN: "stand_in",
    marks.NOTHING: "nothing",
    marks.REPEATED: "repeated",
    marks.NO_DECISION: "no_decision",
}
# Keys of ``Row.kept`` that are no alternates.
NO_ALTERNATES = ("tags", "consents")
CONSENT = "consent:"


class CellColumn(NamedTuple):
    """A column with cells: its place in the file, the fields it fills, and the places of its identifiers in ``keys``, from 1."""

    number: int
    fields: tuple[str, ...]
    places: tuple[int, ...]


class RowFate(NamedTuple):
    """What the plan does with rows: ``added`` are the fields and identifiers (``k1``) they are the first to bring.

    ``added`` is None where all they have is new. ``lost`` are fields whose value loses; with “=” in front the value is
    an alternate already. ``is_written``: the row of its person was written; ``keeps``: so were its alternates.
    """

    outcome: str
    added: frozenset[str] | None
    lost: frozenset[str]
    is_written: bool = True
    keeps: bool = True


def cell_columns(mapping: Mapping, spec: PlanSpec) -> list[CellColumn]:
    """The columns whose cells have marks, in the order of the marks."""
    columns = []
    for cell, column in enumerate(mapping.cell_columns):
        target = column.target
        fields = target.fields
        if target.kind == "tags":
            fields = ("tags",)
        elif target.kind == "consent":
            fields = (CONSENT + target.name.replace(".", "/", 1),)
        elif target.name == "birth_date" and mapping.has_birthday:
            fields = (*fields, f"attributes.{BIRTHDAY}")
        places = tuple(place for place, item in enumerate(spec.identifiers, 1) if item.cell == cell)
        columns.append(CellColumn(column.index or 0, fields, places))
    return columns


def reason_of(mark: str, column: CellColumn, row: RowFate) -> str:
    """The reason of a filled cell of a column, from its mark."""
    if row.outcome in _REJECTING:
        return row.outcome
    if mark in _BY_MARK:
        return _BY_MARK[mark]
    if mark == marks.CLEARS:
        reasons = ["stored" if field in (row.added or ()) else "same" for field in column.fields]
    else:
        reasons = [_of_field(field, row) for field in column.fields]
        if column.places:
            reasons.append("shared_identifier" if mark == marks.SHARED else _of_places(column.places, row))
    reason = min(reasons, key=_RANK.__getitem__)
    if (reason == "stored" and not row.is_written) or (reason == "alternate" and not row.keeps):
        return "not_applied"
    return reason


def _of_field(field: str, row: RowFate) -> str:
    if field in row.lost:
        return "kept_out" if field == "tags" or field.startswith(CONSENT) else "alternate"
    if f"={field}" in row.lost:
        return "kept_out" if field == "tags" else "known_alternate"
    return _stored_or_same(row.added is None or field in row.added, row)


def _of_places(places: Iterable[int], row: RowFate) -> str:
    return _stored_or_same(row.added is None or any(f"k{place}" in row.added for place in places), row)


def _stored_or_same(is_new: bool, row: RowFate) -> str:
    return "stored" if is_new else "repeated" if row.outcome == Row.Outcome.DUPLICATE else "same"


# --- Sums -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CellSum:
    """Filled cells by reason. ``read`` is how many there are, counted when the file was read."""

    name: str
    read: int
    reasons: dict[str, int]

    @property
    def outcomes(self) -> dict[str, int]:
        """Every outcome, in order."""
        return {
            outcome: sum(count for reason, count in self.reasons.items() if REASONS[reason][0] == outcome)
            for outcome in OUTCOMES
        }

    @property
    def accounted(self) -> int:
        return sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class CellAccount:
    """All filled cells of a file: per column of the header, in its order, and those in no column."""

    columns: list[CellSum]
    outside: CellSum

    @property
    def total(self) -> CellSum:
        parts = [*self.columns, self.outside]
        reasons: dict[str, int] = {}
        for part in parts:
            for reason, count in part.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + count
        return CellSum(
            "", sum(part.read for part in parts), {key: reasons[key] for key in REASONS if key in reasons}
        )

    @property
    def differing(self) -> list[CellSum]:
        """The columns whose outcomes do not add up to their cells; there must not be any."""
        return [part for part in (*self.columns, self.outside) if part.read != part.accounted]


def cell_account(import_: Import) -> CellAccount | None:
    """The cells of an import that has a plan, None for one without. No query."""
    stored = import_.cells
    if "columns" not in stored:
        return None
    columns = [
        CellSum(name or f"Column {number}", read, reasons)
        for number, (name, read, reasons) in enumerate(
            zip(import_.headers, stored["read"], stored["columns"], strict=True), 1
        )
    ]
    outside = CellSum("", sum(stored["read_outside"].values()), stored["outside"])
    return CellAccount(columns, outside)


def cells_sentence(account: CellAccount) -> str:
    """The sums in one sentence, for the mail."""
    total = account.total
    parts = [f"{count:,} {OUTCOMES[outcome]}" for outcome, count in total.outcomes.items() if count]
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)
    cells = "The file has 1 filled cell" if total.read == 1 else f"The file has {total.read:,} filled cells"
    return f"{cells}: {listed}." if listed else f"{cells}."


def sums_json(part: CellSum) -> dict[str, int]:
    """For the API: the cells that were read, and each outcome."""
    return {"total": part.read, **part.outcomes}


def account_json(account: CellAccount) -> dict[str, Any]:
    """For the API."""
    total = account.total
    return {
        **sums_json(total),
        "columns": [{"column": part.name, **sums_json(part)} for part in account.columns],
        "reasons": [
            {"outcome": REASONS[reason][0], "reason": reason, "message": REASONS[reason][1], "count": count}
            for reason, count in total.reasons.items()
        ],
    }


def differing_warning(account: CellAccount) -> dict[str, Any] | None:
    """A fault of the product that nobody may overlook; None while the sums are right."""
    if not account.differing:
        return None
    names = ", ".join(part.name or "beside the table" for part in account.differing[:5])
    message = (
        f"{account.total.read:,} cells were read and {account.total.accounted:,} are accounted for ({names})."
        " Please report this: the counts of cells are wrong, the rows are as listed."
    )
    return {"code": "cells_differ", "column": None, "message": message, "count": len(account.differing)}
