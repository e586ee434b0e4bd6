"""The filled cells of a file → counted twice: while it is read, and from the marks of its staged rows.

While reading, only the file is looked at, whatever a cell means. The marks go through matching, grouping and applying
with their row, and each is counted by what became of it. Both sums must be the same (``imports.invariants``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, groupby, zip_longest
from operator import itemgetter
from typing import Any

from django.db import connection
from django.db.models import Q

from imports.cells import CONSENT, CellColumn, RowFate, reason_of
from imports.columns import cell_marks as marks
from imports.files.strict import split_raw
from imports.match_consents import KEPT_NO
from imports.models import Import, Row
from profiles.models import Alternate

ROWS_AT_ONCE = 64
BYTES_AT_ONCE = 4 * 1024 * 1024
_PAGE = 10_000
_KNOWN_PATTERNS = 4096

_AS_MARKS = bytes(ord(marks.VALUE if filled else marks.EMPTY) for filled in range(256))


# --- While reading ------------------------------------------------------------------------------------


class CellReader:
    """Counts the filled cells of rows; ``columns`` by column, ``beyond`` those of no column. Some rows at a time."""

    def __init__(self, columns: int, bytes_read: int) -> None:
        self.columns = [0] * columns
        self.beyond = 0
        self._rows: list[list[str]] = []
        self._limit = 1
        self._bytes_before = bytes_read

    def add(self, cells: list[str]) -> bool:
        """A row as wide as the header; whether it is time to ``count``."""
        self._rows.append(cells)
        return len(self._rows) >= self._limit

    def count(self, bytes_read: int) -> None:
        """Count what was added. Rows of many bytes are not collected: they would fill the memory."""
        rows = len(self._rows)
        if not rows:
            return
        for index, column in enumerate(zip(*self._rows, strict=True)):
            self.columns[index] += rows - column.count("") - sum(map(str.isspace, column))
        self._rows.clear()
        size = max(bytes_read - self._bytes_before, 1) // rows
        self._bytes_before = bytes_read
        self._limit = min(max(BYTES_AT_ONCE // max(size, 1), 1), ROWS_AT_ONCE)

    def add_other(self, cells: Sequence[str]) -> None:
        """A record that is no row of the table; it may be wider or narrower."""
        for index, cell in enumerate(cells):
            if cell.strip():
                if index < len(self.columns):
                    self.columns[index] += 1
                else:
                    self.beyond += 1


class MarkWriter:
    """A row's cells → its marks, one letter for each column that is used, as ``Row.cells`` keeps them."""

    def __init__(self, indexes: Sequence[int], columns: int) -> None:
        self._indexes, self._columns = indexes, columns
        self._pick: Any = itemgetter(*indexes) if len(indexes) > 1 else None
        self._known: dict[bytes, str] = {}  # files repeat a few patterns over and over

    def row(self, cells: Sequence[str], exceptions: Sequence[tuple[int, str]]) -> str:
        picked = self._pick(cells) if self._pick else [cells[index] for index in self._indexes]
        filled = bytes(map(bool, picked))
        if not exceptions:
            return self._known.get(filled) or self._marks(filled)
        changed = bytearray(filled.translate(_AS_MARKS))
        for cell, mark in exceptions:
            changed[cell] = ord(mark)
        return changed.decode()

    def _marks(self, filled: bytes) -> str:
        marked = filled.translate(_AS_MARKS).decode()
        if len(self._known) < _KNOWN_PATTERNS:
            self._known[filled] = marked
        return marked

    def other(self, cells: Sequence[str]) -> str:
        """Of a record that is no row of the table: also a mark for each filled cell beside it."""
        filled = [bool(cell.strip()) for cell in cells]
        width = len(filled)
        own = "".join(
            marks.VALUE if index < width and filled[index] else marks.EMPTY for index in self._indexes
        )
        return own + marks.BEYOND * sum(filled[self._columns :])


def cells_of_line(text: str, delimiter: str, quotechar: str) -> int:
    """How many filled cells a line above the header has."""
    return sum(bool(cell.strip()) for cell in split_raw(text, delimiter, quotechar, False))


# --- From the staged rows -------------------------------------------------------------------------------


def added_sql(*, has_consents: bool) -> str:
    """``RowFate.added`` of a staged row r: NULL where all it has is new."""
    consents = (
        " || ARRAY(SELECT '" + CONSENT + "' || split_part(e, '=', 1)"
        " FROM jsonb_array_elements_text(r.diff #> '{consents,1}') AS e)"
        if has_consents
        else ""
    )
    return f"""
        CASE WHEN r.news IS NOT NULL THEN r.news WHEN r.outcome = 'created' THEN NULL WHEN r.diff IS NULL THEN '{{}}'
        ELSE ARRAY(SELECT jsonb_object_keys(r.diff)) || CASE WHEN r.diff ? 'identifiers' THEN ARRAY(
            SELECT 'k' || u.n FROM unnest(r.keys, r.clashes) WITH ORDINALITY AS u (value, clash, n)
            WHERE u.value IS NOT NULL AND u.clash IS DISTINCT FROM r.profile_id) ELSE '{{}}' END{consents} END"""


def known_sql(import_: Import, value: str) -> str:
    """Whether the profile of row r had ``value`` (of the field k.key) as an alternate before this import.

    One query, so that nothing is looked up where no other import left alternates; else one look-up per lost cell.
    """
    if not Alternate.objects.filter(~Q(import_id=import_.pk) | Q(import_id=None)).exists():
        return "false"
    head = f"(SELECT h.profile_id FROM {import_.partition} h WHERE h.line = r.head)"
    return f"""
        EXISTS (SELECT FROM profiles_alternate a WHERE a.field = k.key AND md5(a.value::text) = md5({value}::text)
            AND a.profile_id = coalesce(r.profile_id, {head}) AND a.import_id IS DISTINCT FROM r.import_id)"""


def lost_sql(import_: Import, *, has_consents: bool) -> str:
    """``RowFate.lost`` of a staged row r; NULL for none. One query."""
    known = known_sql(import_, "k.value")
    lost = (
        f"SELECT CASE WHEN {known} THEN '=' ELSE '' END || k.key"
        " FROM jsonb_each(r.kept) AS k WHERE k.key <> 'consents'"
    )
    if not has_consents:
        return f"CASE WHEN r.kept IS NOT NULL THEN ARRAY({lost}) END"
    return f"""
        CASE WHEN r.kept IS NOT NULL OR r.notices IS NOT NULL THEN ARRAY({lost}
            UNION SELECT '{CONSENT}' || split_part(e, '=', 1) FROM jsonb_array_elements_text(r.kept -> 'consents') AS e
            UNION SELECT '{CONSENT}' || (e ->> 'column') FROM jsonb_array_elements(r.notices) AS e
                WHERE e ->> 'code' = '{KEPT_NO}' ORDER BY 1) END"""


def stored_columns(cells: dict[str, Any]) -> list[CellColumn]:
    """The columns as ``record_columns`` stored them: the mapping's targets may be gone by the end of the import."""
    return [
        CellColumn(index, tuple(fields), tuple(places)) for index, fields, places in cells.get("marked", ())
    ]


def has_consents(columns: Iterable[CellColumn]) -> bool:
    return any(field.startswith(CONSENT) for column in columns for field in column.fields)


def count_cells(import_: Import, *, upto: int | None = None) -> dict[str, Any]:
    """``Import.cells`` with the outcomes of all cells; with ``upto``, of an import that ended at that line.

    One pass over the rows: those with the same marks and fate are counted by the database. An import whose rows were
    staged before cells were counted stays without.
    """
    stored: dict[str, Any] = dict(import_.cells)
    if "marked" not in stored:
        return stored
    columns = stored_columns(stored)
    by_column: list[Counter[str]] = [Counter() for _ in import_.headers]
    outside: Counter[str] = Counter()
    for row, patterns in _by_fate(import_, columns, upto):
        for number, mark, count in _by_cell(patterns):
            if mark == marks.BEYOND:
                outside["above_header" if row.outcome == Row.Outcome.SKIPPED else "beyond"] += count
            else:
                column = columns[number]
                by_column[column.number][reason_of(mark, column, row)] += count
    marked = {column.number for column in columns}
    for index, read in enumerate(stored["read"]):
        if index not in marked and read:
            by_column[index]["ignored"] = read
    if header := stored["read_outside"].get("header"):
        outside["header"] = header
    counted = {"columns": [dict(counter) for counter in by_column], "outside": dict(outside), "upto": upto}
    return {**stored, **counted}


def _by_cell(patterns: list[tuple[str, int]]) -> Iterator[tuple[int, str, int]]:
    """(number, mark, how often) of the filled cells of rows, from the rows' marks and how often each occurs."""
    weights = [count for _, count in patterns]
    for number, letters in enumerate(
        zip_longest(*(pattern for pattern, _ in patterns), fillvalue=marks.EMPTY)
    ):
        for mark in set(letters) - {marks.EMPTY}:
            yield number, mark, sum(compress(weights, [letter == mark for letter in letters]))


def _by_fate(
    import_: Import, columns: list[CellColumn], upto: int | None
) -> Iterator[tuple[RowFate, list[tuple[str, int]]]]:
    """Fates with the marks of their rows, some thousand different ones at a time."""
    consents = has_consents(columns)
    written = keeps = "true"
    if upto is not None:
        written, keeps = f"coalesce(r.head, r.line) <= {int(upto)}", f"r.line <= {int(upto)}"
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            f"""
            SELECT outcome, added, lost, is_written, keeps, cells, count(*) FROM (
                SELECT r.outcome, r.cells, {added_sql(has_consents=consents)} AS added,
                    {lost_sql(import_, has_consents=consents)} AS lost,
                    {written} AS is_written, {keeps} AS keeps
                FROM {import_.partition} r WHERE r.cells IS NOT NULL
            ) x GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5
            """
        )
        while page := cursor.fetchmany(_PAGE):
            for fate, rows in groupby(page, key=lambda row: row[:5]):
                yield read_fate(*fate), [(cells, count) for *_, cells, count in rows]


def read_fate(
    outcome: str,
    added: list[str] | None,
    lost: list[str] | None,
    is_written: bool = True,
    keeps: bool = True,
) -> RowFate:
    """A fate as the database has it."""
    return RowFate(
        outcome, None if added is None else frozenset(added), frozenset(lost or ()), is_written, keeps
    )
