"""The stored file → cleaned rows in the import's partition, matched batch by batch. Reading runs one batch ahead."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson
from django.db import connection

from cdp.job_steps import Chunk, JobFailed
from cdp.shutdown import is_stopping
from imports.cell_counts import CellReader, MarkWriter, cells_of_line
from imports.cells import cell_columns
from imports.columns import CellProblem, Cleaned, Cleaner
from imports.columns.cell_marks import BEYOND
from imports.files import (
    JSON_LINES,
    Checkpoint,
    Dialect,
    FileRefused,
    Reader,
    RowProblem,
    lines_above,
    read_rows,
    shorten,
)
from imports.files.messages import ABOVE_HEADER
from imports.job_controls import chunk_size
from imports.match import SEPARATOR, batch_columns, create_batch_table, create_matches, insert_rows
from imports.models import Import, Row
from imports.partitions import create_partition
from imports.plan_spec import PlanSpec

BATCH_ROWS = 20_000
# A batch of long cells is cut short, so that memory does not follow the file.
BATCH_BYTES = 8 * 1024 * 1024
# One step of the job reads on for so long before the job looks whether its time is up.
STEP_SECONDS = 15.0

# The code of the warning about words for nothing; unlike other warnings it is there before the plan ends.
READ_AS_EMPTY = "read_as_empty"

_ATTRIBUTE = "attributes."


def stage_rows(chunk: Chunk, import_: Import, cleaner: Cleaner, spec: PlanSpec) -> None:
    """Read, clean, match and insert batches for some seconds, each in a transaction with the job's cursor.

    The cursor ends at phase *links* when the file does. Raises JobFailed when the rest of the file cannot be
    trusted, is gone or is not the file that was uploaded.
    """
    until = time.monotonic() + STEP_SECONDS
    start = chunk.cursor.get("at")
    checkpoint = Checkpoint.from_json(start) if start else None
    try:
        if checkpoint is None:
            _check_digest(import_)
        with import_.open_file() as file:
            batches = read_batches(
                file,
                dialect=Dialect.from_json(import_.dialect),
                cleaner=cleaner,
                spec=spec,
                start=checkpoint,
                rows=chunk_size(BATCH_ROWS, chunk),
            )
            for batch in batches:
                _commit_batch(chunk, import_, spec, cleaner, batch, is_first=checkpoint is None)
                checkpoint = batch.checkpoint
                if checkpoint is None or time.monotonic() >= until or is_stopping():
                    return
    except FileRefused as error:
        raise JobFailed(error.message) from error
    except FileNotFoundError as error:
        raise JobFailed("The uploaded file is gone. Upload it again.") from error


def _check_digest(import_: Import) -> None:
    with import_.open_file() as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != import_.sha256:
        raise JobFailed("The stored file is not the one that was uploaded. Upload it again.")


def _commit_batch(
    chunk: Chunk, import_: Import, spec: PlanSpec, cleaner: Cleaner, batch: Batch, *, is_first: bool
) -> None:
    done = batch.rows + (_lines_above(import_) if is_first else 0)
    if batch.checkpoint is None:
        done += batch.empty_rows
    rows = chunk.cursor.get("rows", 0) + done
    cursor: dict[str, Any] = {"phase": "links", "part": 0, "rows": rows}
    total = rows
    if batch.checkpoint is not None:
        cursor = {"phase": "read", "at": batch.checkpoint.as_json(), "rows": rows}
        total = max(rows, round(rows * import_.size / max(batch.bytes_read, 1)))
    with chunk.commit(cursor=cursor, done=done, total=total):
        if is_first:
            create_partition(import_)
            _start_counting(import_, cleaner, spec, above=_insert_lines_above(import_))
        insert_batch(import_, spec, batch.data)
        _record_cells(import_, batch)
        if batch.emptied:
            _record_emptied(import_, batch.emptied)
        if batch.checkpoint is None and batch.empty_rows:
            _record_empty_rows(import_, batch.empty_rows)


def _start_counting(import_: Import, cleaner: Cleaner, spec: PlanSpec, *, above: int) -> None:
    """Counts of cells begin anew with a plan: those of the header and above it."""
    has_header = import_.dialect.get("has_header", True) and import_.dialect.get("format") != JSON_LINES
    header = sum(bool(name.strip()) for name in import_.headers) if has_header else 0
    import_.cells = {
        "marked": cell_columns(cleaner.mapping, spec),
        "read": [0] * len(import_.headers),
        "read_outside": {"header": header, "above_header": above, "beyond": 0},
    }
    Import.objects.filter(pk=import_.pk).update(cells=import_.cells)


def _record_cells(import_: Import, batch: Batch) -> None:
    """Add what the batch has; in its transaction, so that a killed one counts nothing."""
    row = Import.objects.select_for_update(no_key=True).only("cells").get(pk=import_.pk)
    row.cells["read"] = [a + b for a, b in zip(row.cells["read"], batch.cells, strict=True)]
    row.cells["read_outside"]["beyond"] += batch.cells_beyond
    row.save(update_fields=["cells"])


def _record_emptied(import_: Import, emptied: dict[tuple[str, str], tuple[int, int]]) -> None:
    """One warning for each column and word; in the batch's transaction, so that a killed one counts nothing."""
    import_ = Import.objects.select_for_update(no_key=True).only("warnings").get(pk=import_.pk)
    others = [warning for warning in import_.warnings if warning.get("code") != READ_AS_EMPTY]
    known = {
        (warning["column"], warning["value"]): (warning["count"], warning["line"])
        for warning in import_.warnings
        if warning.get("code") == READ_AS_EMPTY
    }
    for cell, (count, line_no) in emptied.items():
        before, first = known.get(cell, (0, line_no))
        known[cell] = (before + count, first)
    import_.warnings = [*others, *(_emptied_warning(*cell, *counted) for cell, counted in known.items())]
    import_.save(update_fields=["warnings"])


def _emptied_warning(column: str, word: str, count: int, line_no: int) -> dict[str, Any]:
    cells = (
        f"1 cell, in line {line_no:,}," if count == 1 else f"{count:,} cells, the first in line {line_no:,},"
    )
    was = "was" if count == 1 else "were"
    message = f"{cells} with “{word}” {was} read as empty. To keep it as text, turn off “Read NULL, n/a and #N/A as empty”."
    return {
        "code": READ_AS_EMPTY,
        "column": column,
        "value": word,
        "message": message,
        "count": count,
        "line": line_no,
    }


def _record_empty_rows(import_: Import, count: int) -> None:
    rows = "1 empty row was" if count == 1 else f"{count:,} empty rows were"
    warning = {"code": "empty_rows", "column": None, "message": f"{rows} skipped.", "count": count}
    import_ = Import.objects.select_for_update(no_key=True).only("warnings").get(pk=import_.pk)
    import_.warnings = [*import_.warnings, warning]
    import_.save(update_fields=["warnings"])


def _lines_above(import_: Import) -> int:
    with import_.open_file() as file:
        return sum(1 for _ in lines_above(file, Dialect.from_json(import_.dialect)))


def _insert_lines_above(import_: Import) -> int:
    """Lines above the header are no rows; each is counted and has its reason. How many cells they have."""
    dialect = Dialect.from_json(import_.dialect)
    total = 0
    statement = f"COPY {import_.partition} (import_id, line, outcome, problems, cells) FROM STDIN"
    with import_.open_file() as file, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for line_no, text in lines_above(file, dialect):
            problem = _problems_json([CellProblem("", shorten(text), ABOVE_HEADER)])
            cells = cells_of_line(text, dialect.delimiter, dialect.quotechar)
            total += cells
            copy.write_row((import_.pk, line_no, Row.Outcome.SKIPPED.value, problem, BEYOND * cells))
    return total


def insert_batch(import_: Import, spec: PlanSpec, data: bytes) -> None:
    """COPY, match, diff, insert: the three steps of ``match``. Call inside a transaction."""
    statement = insert_rows(spec, import_id=import_.pk, partition=import_.partition)
    columns = ", ".join(name for name, _ in batch_columns(spec))
    with connection.cursor() as cursor:
        # The plan can be made again; what it costs to lose its last moments is nothing.
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute("SET LOCAL jit = off")
        cursor.execute("DROP TABLE IF EXISTS import_batch, import_match")
        cursor.execute(create_batch_table(spec))
        with cursor.copy(f"COPY import_batch ({columns}) FROM STDIN (FORMAT text, NULL '')") as copy:
            copy.write(data)
        cursor.execute("ANALYZE import_batch (line)")
        # A batch is small and the base is not: index look-ups only, whatever the statistics say.
        cursor.execute("SET LOCAL enable_hashjoin = off")
        cursor.execute("SET LOCAL enable_mergejoin = off")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(create_matches(spec))
        cursor.execute("ANALYZE import_match (line, target)")
        cursor.execute("SET LOCAL enable_hashjoin = on")
        cursor.execute(statement.sql, statement.params)
        cursor.execute("SET LOCAL enable_mergejoin = on")
        cursor.execute("SET LOCAL enable_seqscan = on")
        cursor.execute("DROP TABLE import_batch, import_match")


# --- Reading ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Batch:
    """``data`` is COPY text; ``checkpoint`` is where the next batch starts, None at the end of the file.

    ``emptied``: for each column and word that was read as an empty cell, how often and the first line.
    ``empty_rows`` are those skipped so far, from the beginning of the file. ``cells``: how many filled cells each
    column has in this batch; ``cells_beyond`` are in no column.
    """

    data: bytes
    rows: int
    bytes_read: int
    checkpoint: Checkpoint | None
    emptied: dict[tuple[str, str], tuple[int, int]]
    empty_rows: int
    cells: list[int]
    cells_beyond: int


def read_batches(
    source: BinaryIO,
    *,
    dialect: Dialect,
    cleaner: Cleaner,
    spec: PlanSpec,
    start: Checkpoint | None,
    rows: int,
) -> Iterator[Batch]:
    """Every row from ``start`` on, cleaned, at most ``rows`` at a time. Raises FileRefused.

    With fewer rows than usual nothing is read ahead: the chunk is searched for a row that kills workers.
    """
    with closing(read_rows(source, dialect, start=start)) as reader:
        batches = _each_batch(reader, cleaner, CopyWriter(spec), rows)
        yield from _ahead(batches) if rows >= BATCH_ROWS else batches


def _each_batch(reader: Reader, cleaner: Cleaner, writer: CopyWriter, rows: int) -> Iterator[Batch]:
    while True:
        batch = _next_batch(reader, cleaner, writer, rows)
        yield batch
        if batch.checkpoint is None:
            return


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; the next one is made in a thread while this one is used."""
    with ThreadPoolExecutor(1) as thread:
        upcoming = thread.submit(next, batches, None)
        while (batch := upcoming.result()) is not None:
            upcoming = thread.submit(next, batches, None)
            yield batch


def _next_batch(reader: Reader, cleaner: Cleaner, writer: CopyWriter, limit: int) -> Batch:
    rows: list[str] = []
    size = 0
    emptied: dict[tuple[str, str], tuple[int, int]] = {}
    counter = CellReader(reader.columns, reader.bytes_read)
    mark = MarkWriter([column.index or 0 for column in cleaner.mapping.cell_columns], reader.columns)
    clean, encode, encode_problem = cleaner.clean, writer.encode, writer.encode_problem
    add_cells, mark_row = counter.add, mark.row
    for item in reader:
        if isinstance(item, RowProblem):
            cells = reader.cells_of(item)
            counter.add_other(cells)
            row = encode_problem(item, mark.other(cells))
        else:
            if add_cells(item.cells):
                counter.count(reader.bytes_read)
            cleaned = clean(item)
            row = encode(cleaned, mark_row(item.cells, cleaned.cell_marks))
            for cell in cleaned.emptied:
                count, line_no = emptied.get(cell, (0, cleaned.line_no))
                emptied[cell] = (count + 1, line_no)
        rows.append(row)
        size += len(row)
        if len(rows) >= limit or size >= BATCH_BYTES:
            checkpoint = reader.checkpoint()
            break
    else:
        checkpoint = None
    counter.count(reader.bytes_read)
    return Batch(
        "".join(rows).encode(),
        len(rows),
        reader.bytes_read,
        checkpoint,
        emptied,
        reader.blank_lines,
        counter.columns,
        counter.beyond,
    )


# --- COPY text ----------------------------------------------------------------------------------------


class CopyWriter:
    """Cleaned rows → rows of COPY text, in the order of ``batch_columns``; NULL is the empty string."""

    def __init__(self, spec: PlanSpec) -> None:
        names = [name for name, _ in batch_columns(spec)]
        self._width = len(names)
        self._positions = {name: position for position, name in enumerate(names)}
        self._identifiers: dict[tuple[str, int], list[int]] = {}
        for index, column in enumerate(spec.identifiers):
            key = (column.type_name, column.cell)
            self._identifiers.setdefault(key, []).append(self._positions[f"k{index}"])

    def encode(self, cleaned: Cleaned, marks: str) -> str:
        """``marks``: one letter for each cell, see ``columns.cell_marks``."""
        cells = [""] * self._width
        cells[0] = str(cleaned.line_no)
        positions = self._positions
        cells[-1] = marks
        if cleaned.problems:
            cells[positions["problems"]] = _problems_json(cleaned.problems)
            return self._join_cells(cells)
        self._set_identifiers(cleaned, cells)
        attributes: dict[str, Any] = {}
        for name, value in cleaned.values.items():
            if name in positions:
                cells[positions[name]] = value
            else:
                attributes[name[len(_ATTRIBUTE) :]] = value
        if attributes:
            cells[positions["attributes"]] = orjson.dumps(attributes).decode()
        if cleaned.tags:
            cells[positions["tags"]] = SEPARATOR.join(cleaned.tags)
        if cleaned.consents:
            cells[positions["consents"]] = orjson.dumps(cleaned.consents).decode()
        if cleaned.clears:
            cells[positions["clears"]] = SEPARATOR.join(cleaned.clears)
        if cleaned.warnings:
            cells[positions["notices"]] = _problems_json(cleaned.warnings)
        return self._join_cells(cells)

    def encode_problem(self, problem: RowProblem, marks: str) -> str:
        """A record that could not be read as a row."""
        cells = [""] * self._width
        cells[0], cells[-1] = str(problem.line_no), marks
        cell_problem = CellProblem(problem.column or "", problem.value, problem.message)
        cells[self._positions["problems"]] = _problems_json([cell_problem])
        return self._join_cells(cells)

    def _set_identifiers(self, cleaned: Cleaned, cells: list[str]) -> None:
        """The n-th value of a cell goes into the n-th place of its column."""
        used: dict[tuple[str, int], int] = {}
        for (type_name, value, raw), cell in zip(cleaned.identifiers, cleaned.identifier_cells, strict=True):
            key = (type_name, cell)
            places = self._identifiers[key]
            position = places[0]
            if len(places) > 1:
                number = used.get(key, 0)
                position, used[key] = places[number], number + 1
            cells[position], cells[position + 1] = value, raw

    def _join_cells(self, cells: list[str]) -> str:
        row = "\t".join(cells)
        if "\\" in row or "\n" in row or "\r" in row or row.count("\t") >= self._width:
            row = "\t".join(map(_escape, cells))
        return row + "\n"


def _escape(cell: str) -> str:
    return (
        cell.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
        if cell
        else ""
    )


def _problems_json(problems: list[CellProblem]) -> str:
    return orjson.dumps(
        [{"column": item.column or None, "value": item.value, "message": item.message} for item in problems]
    ).decode()
