"""The columns of an import with their mapping → the checks before its plan: matching, answers, cells, what is left out."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cdp.plurals import counted
from imports.admin.column_preview import Draft, sampled_rows
from imports.admin.column_rows import ASK, OUT, ColumnRow
from imports.admin.wording import canonical_target
from imports.columns import LEFT_OUT, Context
from imports.models import Import


@dataclass(frozen=True, slots=True)
class Check:
    """One line before the button; ``anchor`` is where on the page it can be settled."""

    is_ok: bool
    text: str
    detail: str = ""
    anchor: str = ""


def checks(
    import_: Import,
    columns: Sequence[ColumnRow],
    draft: Draft,
    context: Context,
    labels: AnyMapping[str, str],
) -> list[Check]:
    """What to know before planning, from the mapping and the sampled rows."""
    items = [
        _matching(draft, context, labels),
        _answers(columns),
        _consents(columns),
        _sample(import_, draft),
        _left_out(columns),
    ]
    items += [
        Check(False, warning["message"]) for warning in import_.warnings if warning.get("code") == "same_file"
    ]
    items += [
        Check(False, _sentence(remark), anchor="reading") for remark in import_.dialect.get("remarks", [])
    ]
    return [check for check in items if check]


def _sentence(remark: Any) -> str:
    return str(remark.get("message", "")) if isinstance(remark, dict) else str(remark)


def _matching(draft: Draft, context: Context, labels: AnyMapping[str, str]) -> Check:
    types = [
        context.identifier_by_name[name]
        for name in draft.mapping.identifiers
        if context.identifier_by_name[name].is_unique
    ]
    if not types:
        return Check(
            False,
            "No column identifies people: every row creates a new profile",
            "Importing the file again creates them again. Map an e-mail or a customer id if the file has one.",
        )
    names = [
        spec.label or labels.get(canonical_target(f"identifier.{spec.name}"), spec.name)
        for spec in sorted(types, key=lambda spec: spec.priority)
    ]
    return Check(
        True,
        f"People are found by {', then by '.join(names)}",
        "A row that matches nobody becomes a new person.",
    )


def _answers(columns: Sequence[ColumnRow]) -> Check:
    open_ = [column for column in columns if column.group == ASK]
    if not open_:
        return Check(True, "Every column has an answer")
    needs = "column needs" if len(open_) == 1 else "columns need"
    return Check(False, f"{len(open_)} {needs} your answer", _names(open_), "needs-answer")


def _sample(import_: Import, draft: Draft) -> Check | None:
    rows = sampled_rows(import_)
    if not rows or not draft.mapping.used:
        return None
    cleaned = [draft.cleaner.clean(row) for row in rows]
    bad = [row for row in cleaned if row.problems]
    unread = sum(warning.message.endswith(LEFT_OUT) for row in cleaned for warning in row.warnings)
    first = "the first row" if len(rows) == 1 else f"the first {len(rows)} rows"
    if not bad and unread:
        cells = counted(unread, "cells")
        return Check(
            False,
            f"{cells} of {first} cannot be read and would be left out",
            "The plan lists every such cell.",
            "file-answers",
        )
    if not bad:
        return Check(True, f"Every cell of {first} can be read", "The plan checks every row of the file.")
    return Check(
        False,
        f"{len(bad)} of {first} would be rejected",
        "A row whose e-mail or customer id cannot be read is left out.",
    )


def _consents(columns: Sequence[ColumnRow]) -> Check | None:
    """A no that is left out would be lost: somebody has to say that this is meant."""
    left = [column for column in columns if column.looks_like_consent and not column.is_confirmed]
    if not left:
        return None
    looks = "column that looks like a consent is" if len(left) == 1 else "columns that look like consents are"
    return Check(
        False,
        f"{len(left)} {looks} left out",
        f"{_names(left)}. The import cannot be applied before you choose or confirm.",
        "needs-answer",
    )


def _left_out(columns: Sequence[ColumnRow]) -> Check | None:
    left = [column for column in columns if column.group == OUT and column.filled]
    if not left:
        return None
    are = "column with data is" if len(left) == 1 else "columns with data are"
    return Check(False, f"{len(left)} {are} left out", _names(left), "left-out")


def _names(columns: Sequence[ColumnRow]) -> str:
    names = ", ".join(column.header for column in columns[:4])
    return f"{names} and {len(columns) - 4} more" if len(columns) > 4 else names
