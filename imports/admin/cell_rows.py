"""The cells of an import → the table of its page: per column how many have each outcome, with links to what lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from cdp.templatetags.cdp import number, split_bar
from imports.cells import (
    ALTERNATE,
    IGNORED,
    KEPT_OUT,
    LEFT_OUT,
    OUTCOMES,
    OUTSIDE,
    REASONS,
    ROW_REJECTED,
    SAME,
    STORED,
    CellAccount,
    CellSum,
    cell_account,
)
from imports.models import Import

# outcome → (head of its column, part of the bar)
_HEADS = {
    STORED: ("Stored", "new"),
    SAME: ("Same", "same"),
    KEPT_OUT: ("Kept out", "warn"),
    ALTERNATE: ("Alternate", "upd"),
    LEFT_OUT: ("Left out", "warn"),
    ROW_REJECTED: ("Row rejected", "bad"),
    IGNORED: ("Ignored", "same"),
    OUTSIDE: ("No column", "same"),
}
# More columns than this are folded away at first.
_OPEN_COLUMNS = 30


@dataclass(frozen=True, slots=True)
class CellCount:
    """One number of the table. ``url`` is where these cells are listed, "" for nowhere."""

    label: str
    count: int
    url: str


@dataclass(frozen=True, slots=True)
class CellRow:
    name: str
    read: int
    counts: list[CellCount]
    bar: SafeString


@dataclass(frozen=True, slots=True)
class CellTable:
    heads: list[str]
    rows: list[CellRow]
    total: CellRow
    bar: SafeString
    reasons: list[tuple[int, str, str]]
    is_open: bool
    differing: list[str]


def cell_table(import_: Import, links: dict[str, str], *, can_change: bool) -> CellTable | None:
    """The table, None without a plan; outcomes that no cell has are left out. ``links``: outcome → what lists it. No query."""
    account = cell_account(import_)
    if account is None:
        return None
    total = account.total
    shown = [outcome for outcome, count in total.outcomes.items() if count]
    columns = reverse("admin:imports_import_columns", args=[import_.pk]) if can_change else ""

    def row(part: CellSum, name: str, place: int = 0) -> CellRow:
        own = {IGNORED: f"{columns}#column-{place}"} if columns and place else {}
        urls = {**links, **own}
        outcomes = part.outcomes
        counts = [CellCount(_HEADS[key][0], outcomes[key], urls.get(key, "")) for key in shown]
        return CellRow(name, part.read, counts, _bar(outcomes, part.read))

    rows = [row(part, part.name, place) for place, part in enumerate(account.columns, 1)]
    if account.outside.read or account.outside.accounted:
        rows.append(row(account.outside, "Header and beside the table"))
    return CellTable(
        heads=[_HEADS[outcome][0] for outcome in shown],
        rows=rows,
        total=row(total, "Cells in the file"),
        bar=split_bar(
            *[
                piece
                for outcome in shown
                for piece in (OUTCOMES[outcome], total.outcomes[outcome], _HEADS[outcome][1])
            ]
        ),
        reasons=_reasons(account),
        is_open=len(account.columns) <= _OPEN_COLUMNS,
        differing=[part.name or "beside the table" for part in account.differing],
    )


def _reasons(account: CellAccount) -> list[tuple[int, str, str]]:
    """(how many, outcome, why), in the order of the outcomes."""
    return [
        (count, _HEADS[REASONS[reason][0]][0], REASONS[reason][1])
        for reason, count in account.total.reasons.items()
    ]


def _bar(outcomes: dict[str, int], read: int) -> SafeString:
    """The shares of a column; the numbers beside it say the same."""
    spans, at = [], 0.0
    for outcome, count in outcomes.items():
        if count:
            width = 100 * count / max(read, 1)
            label = f"{_HEADS[outcome][0]}: {number(count)}"
            spans.append((_HEADS[outcome][1], f"{at:.2f}%", f"{width:.2f}%", label))
            at += width
    rects: Any = format_html_join(
        "", '<rect class="part-{}" x="{}" width="{}" height="100%"><title>{}</title></rect>', spans
    )
    return format_html('<svg class="split" aria-hidden="true">{}</svg>', rects)
