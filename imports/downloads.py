"""An import → CSV files, streamed: the whole plan, the rejected rows to correct, the template."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from contextvars import copy_context
from itertools import islice
from typing import Any

import orjson
from django.db import connection
from django.utils.text import get_valid_filename

from cdp.actors import Actor
from cdp.errors import NotFound
from cdp.looks import MOST_IDS, record_look
from cdp.spreadsheets import BOM, as_csv, safe_cell
from imports.cell_counts import added_sql, has_consents, lost_sql, read_fate, stored_columns
from imports.cells import OUTCOMES as CELL_OUTCOMES
from imports.cells import OUTSIDE, REASONS, CellColumn, RowFate, reason_of
from imports.columns.cell_marks import BEYOND, EMPTY
from imports.files import REJECTED_COLUMNS, Dialect, FileRefused, Reader, Row, RowProblem, read_rows
from imports.files.dialect import escape
from imports.models import Import
from imports.partitions import has_rows
from imports.report import MANY_VALUED, REJECTED, added_and_removed
from profiles.masking import DOTS, mask, mask_fields
from profiles.models import AttributeDefinition
from profiles.values.attributes import AttributeSpec, attribute_specs, display, label_of

PAGE = 2_000
TEMPLATE = ("first_name", "last_name", "email", "country", "tags", "reference_id")
PLAN_COLUMNS = (
    "line",
    "outcome",
    "profile_id",
    "same_person_as_line",
    "changes",
    "problem",
    "warnings",
    "kept_as_alternates",
    "cells",
)


def can_view_pii(import_: Import, actor: Actor) -> bool:
    """Personal data of an import's file is for those with the permission, and for whoever uploaded it.

    What is stored of the people its rows match is not in the file: ``can_view_stored``.
    """
    uploader = (actor.user_id, actor.key_id) == (import_.user_id, import_.key_id) and actor.label != "system"
    return uploader or actor.can("profiles.view_pii")


def can_view_stored(actor: Actor) -> bool:
    """What people have already is for those with the permission alone: an id and junk in a file must not show it."""
    return actor.can("profiles.view_pii")


def visible_changes(
    changes: dict[str, list[Any]], specs: dict[str, AttributeSpec], *, file: bool, stored: bool
) -> dict[str, list[Any]]:
    """A row's ``{field: [old, new]}`` for whoever may see the ``file`` and what is ``stored``: the old side is stored."""
    if file and stored:
        return changes
    masked = mask_fields(changes, specs)
    return {
        name: [
            old if stored else masked[name][0],
            _new_side(name, old, new, stored=stored) if file else masked[name][1],
        ]
        for name, (old, new) in changes.items()
    }


def _new_side(name: str, old: Any, new: Any, *, stored: bool) -> Any:
    """A list that a cell is appended to begins with what is stored: then the appended entries alone."""
    if stored or name in MANY_VALUED or not (isinstance(old, list) and isinstance(new, list)):
        return new
    return [entry for entry in new if entry not in old]


def file_name(import_: Import, kind: str) -> str:
    stem = get_valid_filename(import_.name.rsplit(".", 1)[0] or "import")[:80]
    return f"{stem}-{kind}.csv"


def _csv(rows: Iterable[Iterable[Any]]) -> Iterator[bytes]:
    """CSV text of ``PAGE`` rows at a time; memory does not depend on their number."""
    remaining = iter(rows)
    while page := list(islice(remaining, PAGE)):
        yield as_csv(page)


# --- Template -----------------------------------------------------------------------------------------


def template_csv() -> bytes:
    """A header alone, with every registered attribute."""
    names = AttributeDefinition.objects.order_by("name").values_list("name", flat=True)
    return ",".join([*TEMPLATE, *(f"attributes.{name}" for name in names)]).encode() + b"\r\n"


# --- Plan ---------------------------------------------------------------------------------------------


def _pages(import_: Import, columns: str, outcomes: Iterable[str] = ()) -> Iterator[tuple[Any, ...]]:
    """Rows in line order, a page per statement: no transaction stays open during a download."""
    where = " AND outcome = ANY(%(outcomes)s)" if outcomes else ""
    after = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT line, {columns} FROM {import_.partition} r WHERE line > %(after)s{where} ORDER BY line LIMIT {PAGE}",
                {"after": after, "outcomes": [str(outcome) for outcome in outcomes]},
            )
            page = cursor.fetchall()
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1][0]


def plan_csv(import_: Import, *, actor: Actor) -> Iterator[bytes]:
    """Every row with what will happen or happened to it. Raises NotFound when the rows are gone."""
    _check_rows(import_)
    specs = attribute_specs()
    unmasked, stored = can_view_pii(import_, actor), can_view_stored(actor)
    columns = stored_columns(import_.cells)
    consents = has_consents(columns)
    ended_at = import_.cells.get("upto")
    upto = sys.maxsize if ended_at is None else ended_at

    looks = _Looks(import_, actor)

    def rows() -> Iterator[Iterable[Any]]:
        yield PLAN_COLUMNS
        for line_no, outcome, profile_id, head, diff, problems, notices, kept, cells, added, lost in _pages(
            import_,
            "outcome, profile_id, head, diff::text, problems::text, notices::text, kept::text, cells,"
            f" {added_sql(has_consents=consents)}, {lost_sql(import_, has_consents=consents)}",
        ):
            fields = orjson.loads(diff) if diff else {}
            changes = "; ".join(
                f"{label_of(name, specs) if '.' in name or name in specs else name}: {_display_change(name, old, new)}"
                for name, (old, new) in visible_changes(fields, specs, file=unmasked, stored=stored).items()
            )
            alternates = "; ".join(
                f"{label_of(name, specs)}: {_display_value(name, value if unmasked else mask(name, value, specs))}"
                for name, value in (orjson.loads(kept) if kept else {}).items()
            )
            fate = read_fate(outcome, added, lost, (head or line_no) <= upto, line_no <= upto)
            problem_text = "; ".join(map(_describe_problem, orjson.loads(problems) if problems else ()))
            looks.add(profile_id)
            yield (
                line_no,
                outcome,
                profile_id or "",
                head or "",
                changes,
                problem_text,
                _describe_notices(notices, unmasked=unmasked),
                alternates,
                _describe_cells(cells or "", fate, columns, import_.headers),
            )

    return _csv(looks.recorded(rows()))


class _Looks:
    """Whom a download of a plan names, recorded as it is read, some thousands at a time."""

    def __init__(self, import_: Import, actor: Actor) -> None:
        self._import_id, self._actor = import_.pk, actor
        self._ids: dict[int, None] = {}
        # The request is over when the file is read; where it came from is part of the record.
        self._request = copy_context()

    def add(self, profile_id: int | None) -> None:
        if profile_id:
            self._ids[profile_id] = None
        if len(self._ids) >= MOST_IDS:
            self._record()

    def recorded(self, rows: Iterator[Iterable[Any]]) -> Iterator[Iterable[Any]]:
        """The rows; also of a download that is broken off, what was read of it is recorded."""
        try:
            yield from rows
        finally:
            self._record()

    def _record(self) -> None:
        self._request.run(
            record_look,
            "import_file",
            actor=self._actor,
            profile_ids=list(self._ids),
            subject=f"import:{self._import_id}",
            is_masked=not can_view_stored(self._actor),
        )
        self._ids.clear()


def _describe_cells(letters: str, fate: RowFate, columns: list[CellColumn], headers: list[str]) -> str:
    """What becomes of each filled cell of a row, in the columns' order; ignored columns are not named."""
    described = [
        (column.number, f"{headers[column.number] or column.number + 1}: {_outcome(mark, column, fate)}")
        for mark, column in zip(letters, columns, strict=False)
        if mark not in (EMPTY, BEYOND)
    ]
    beyond = letters.count(BEYOND)
    pieces = [text for _, text in sorted(described)]
    return "; ".join([*pieces, f"{beyond} {CELL_OUTCOMES[OUTSIDE]}"] if beyond else pieces)


def _outcome(mark: str, column: CellColumn, fate: RowFate) -> str:
    return REASONS[reason_of(mark, column, fate)][0]


def _display_change(name: str, old: Any, new: Any) -> str:
    if name in MANY_VALUED:
        return added_and_removed(old, new)
    return f"{_display_value(name, old)} → {_display_value(name, new)}"


def _display_value(name: str, value: Any) -> str:
    return display(name, value) or "(empty)"


def _describe_problem(problem: dict[str, Any]) -> str:
    column = problem.get("column")
    return f"{column}: {problem['message']}" if column else str(problem["message"])


def _describe_notices(notices_json: str | None, *, unmasked: bool) -> str:
    """Column, value and sentence of each; who may not see values reads the columns alone."""
    notices = orjson.loads(notices_json) if notices_json else []
    if not unmasked:
        return "; ".join(dict.fromkeys(f"{notice['column']}: {DOTS}" for notice in notices))
    return "; ".join(f"{notice['column']}: {notice['value']}: {notice['message']}" for notice in notices)


def _check_rows(import_: Import) -> None:
    if not has_rows(import_):
        raise NotFound("The rows of this import were deleted; they are kept for 30 days after it ends.")


# --- Rejected -----------------------------------------------------------------------------------------


def rejected_csv(import_: Import, *, actor: Actor) -> Iterator[bytes]:
    """The rejected rows as they are in the file, with line, column and reason before them, in the file's own dialect.

    A record that could not be read is written as it is, quotes and all, its bad bytes written out: uploaded again it
    is rejected for the same reason. Reads the file once, side by side with the rejected rows of the plan, both in line
    order; memory does not depend on either. Raises NotFound when file or rows are gone.
    """
    _check_rows(import_)
    if not import_.file or not import_.file.storage.exists(str(import_.file.name)):
        raise NotFound(
            "The file of this import was deleted; files are kept for 30 days after the import ends."
        )
    writer = _RejectedWriter(Dialect.from_json(import_.dialect), can_view_pii(import_, actor))
    record_look(
        "import_file",
        actor=actor,
        profile_ids=(),
        subject=f"import:{import_.pk}",
        is_masked=not can_view_pii(import_, actor),
    )
    headers = import_.headers
    if tuple(headers[: len(REJECTED_COLUMNS)]) == REJECTED_COLUMNS:
        headers = headers[len(REJECTED_COLUMNS) :]

    def pieces() -> Iterator[bytes]:
        yield BOM + writer.header(headers)
        rejected = _pages(import_, "problems::text", REJECTED)
        reject = next(rejected, None)
        with import_.open_file() as file, closing(read_rows(file, writer.dialect)) as reader:
            for item in _items(reader):
                while reject is not None and reject[0] < item.line_no:
                    yield writer.row(_reasons(reject), [])
                    reject = next(rejected, None)
                if reject is None:
                    return
                if reject[0] == item.line_no:
                    yield writer.item(_reasons(reject), item, reader)
                    reject = next(rejected, None)
        while reject is not None:
            yield writer.row(_reasons(reject), [])
            reject = next(rejected, None)

    return _joined(pieces())


def _items(reader: Reader) -> Iterator[Row | RowProblem]:
    try:
        yield from reader
    except FileRefused:
        # The plan failed at this point too: the rows before it are all there are.
        return


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    while page := b"".join(islice(pieces, PAGE)):
        yield page


class _RejectedWriter:
    """Rejected rows → lines of CSV."""

    def __init__(self, dialect: Dialect, unmasked: bool) -> None:
        self.dialect = dialect
        self._quote = dialect.quotechar or '"'
        self._unmasked = unmasked

    def header(self, headers: Iterable[str]) -> bytes:
        names = [*REJECTED_COLUMNS, *headers]
        if self._quote == '"':
            return self.row(names, [])
        # Quoted, so that the file tells what its quotes are.
        cells = [self._quote + name.replace(self._quote, self._quote * 2) + self._quote for name in names]
        return (self.dialect.delimiter.join(cells) + "\r\n").encode()

    def row(self, reasons: Iterable[str], cells: Iterable[str]) -> bytes:
        return as_csv([[*reasons, *cells]], delimiter=self.dialect.delimiter, quotechar=self._quote)

    def item(self, reasons: Iterable[str], item: Row | RowProblem, reader: Reader) -> bytes:
        if isinstance(item, Row):
            return self.row(reasons, self._masked(item.cells[reader.reasons :]))
        raw = self._masked([escape(cell) for cell in reader.raw_cells(item)])
        if not self.dialect.quotechar:
            return self.row(reasons, raw)
        pieces = [self.row(reasons, []).decode().removesuffix("\r\n"), *map(self._guarded, raw)]
        return (self.dialect.delimiter.join(pieces) + "\r\n").encode()

    def _masked(self, cells: list[str]) -> list[str]:
        return cells if self._unmasked else [DOTS if cell else "" for cell in cells]

    def _guarded(self, raw: str) -> str:
        """A cell as it is in the file, with the guard inside its quotes; one that has it is left alone."""
        quote = self._quote
        text = raw.removeprefix(quote)
        if text.startswith("'") or safe_cell(text) == text:
            return raw
        if quote != "'":
            return quote + safe_cell(text) if text != raw else safe_cell(raw)
        # There the guard is a quote, which is doubled inside quotes.
        return quote * 3 + (text if text != raw else raw + quote)


def _reasons(reject: tuple[Any, ...]) -> tuple[str, str, str]:
    line_no, problems_json = reject
    problems = orjson.loads(problems_json) if problems_json else []
    columns = [problem["column"] for problem in problems if problem.get("column")]
    return (
        str(line_no),
        ", ".join(dict.fromkeys(columns)),
        " ".join(problem["message"] for problem in problems),
    )
