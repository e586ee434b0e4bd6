"""The file → batches of cleaned rows, ready for COPY. Reading runs one batch ahead of the database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

from imports.columns import Cleaned, Cleaner, Complaint
from imports.files import Checkpoint, Dialect, Problem, read_rows
from imports.match import SEPARATOR, chunk_columns
from imports.plan_spec import Shape

BATCH_ROWS = 20_000
# A batch of long cells is cut short, so that memory does not follow the file.
BATCH_BYTES = 8 * 1024 * 1024

_ATTRIBUTE = "attributes."


@dataclass(frozen=True, slots=True)
class Batch:
    """``data`` is COPY text; ``checkpoint`` is where the next batch starts; None: the file ends here."""

    data: bytes
    rows: int
    failed: int
    bytes_read: int
    checkpoint: Checkpoint | None


def read_batches(
    source: BinaryIO,
    *,
    dialect: Dialect,
    cleaner: Cleaner,
    shape: Shape,
    start: Checkpoint | None,
    rows: int = BATCH_ROWS,
) -> Iterator[Batch]:
    """Every row from ``start`` on, cleaned, at most ``rows`` at a time. Raises FileRefused when the rest cannot be
    trusted.

    With fewer rows than usual nothing is read ahead: somebody looks for the row that kills workers.
    """
    with closing(read_rows(source, dialect, start=start)) as reader:
        batches = _each_batch(reader, cleaner, CopyWriter(shape), rows)
        yield from _ahead(batches) if rows >= BATCH_ROWS else batches


def _each_batch(reader: Any, cleaner: Cleaner, writer: CopyWriter, rows: int) -> Iterator[Batch]:
    while True:
        batch = _next_batch(reader, cleaner, writer, rows)
        yield batch
        if batch.checkpoint is None:
            return


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same, the next one being made while this one is used."""
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(next, batches, None)
        while (batch := waiting.result()) is not None:
            waiting = thread.submit(next, batches, None)
            yield batch


def _next_batch(reader: Any, cleaner: Cleaner, writer: CopyWriter, rows: int) -> Batch:
    lines: list[str] = []
    failed = size = 0
    clean, encode, refuse = cleaner.clean, writer.encode, writer.refuse
    for row in reader:
        if isinstance(row, Problem):
            line = refuse(row)
            failed += 1
        else:
            out = clean(row)
            failed += bool(out.problems)
            line = encode(out)
        lines.append(line)
        size += len(line)
        if len(lines) >= rows or size >= BATCH_BYTES:
            break
    else:
        return Batch("".join(lines).encode(), len(lines), failed, reader.bytes_read, None)
    return Batch("".join(lines).encode(), len(lines), failed, reader.bytes_read, reader.checkpoint())


class CopyWriter:
    """Cleaned rows as lines of COPY text, in the order of ``chunk_columns``; nothing is the empty string."""

    def __init__(self, shape: Shape) -> None:
        names = [name for name, _ in chunk_columns(shape)]
        self._width = len(names)
        self._at = {name: index for index, name in enumerate(names)}
        self._slots: dict[str, list[int]] = {}
        for index, slot in enumerate(shape.slots):
            self._slots.setdefault(slot.type_name, []).append(self._at[f"k{index}"])

    def encode(self, out: Cleaned) -> str:
        cells = [""] * self._width
        cells[0] = str(out.line)
        at = self._at
        if out.problems:
            cells[at["problems"]] = _complaints(out.problems)
            return self._join(cells)
        self._identifiers(out, cells)
        custom: dict[str, Any] = {}
        for name, value in out.values.items():
            if name in at:
                cells[at[name]] = value
            else:
                custom[name[len(_ATTRIBUTE) :]] = value
        if custom:
            cells[at["attributes"]] = orjson.dumps(custom).decode()
        if out.tags:
            cells[at["tags"]] = SEPARATOR.join(out.tags)
        if out.consents:
            cells[at["consents"]] = orjson.dumps(out.consents).decode()
        if out.clears:
            cells[at["clears"]] = SEPARATOR.join(out.clears)
        if out.warnings:
            cells[at["notices"]] = _complaints(out.warnings)
        return self._join(cells)

    def refuse(self, problem: Problem) -> str:
        cells = [""] * self._width
        cells[0] = str(problem.line)
        complaint = Complaint(problem.column or "", problem.value, problem.message)
        cells[self._at["problems"]] = _complaints([complaint])
        return self._join(cells)

    def _identifiers(self, out: Cleaned, cells: list[str]) -> None:
        if len(self._slots) == len(out.identifiers):
            for kind, value, raw in out.identifiers:
                place = self._slots[kind][0]
                if cells[place]:
                    break
                cells[place], cells[place + 1] = value, raw
            else:
                return
        taken: dict[str, int] = {}
        for kind, value, raw in out.identifiers:
            number = taken.get(kind, 0)
            place = self._slots[kind][number]
            cells[place], cells[place + 1] = value, raw
            taken[kind] = number + 1

    def _join(self, cells: list[str]) -> str:
        line = "\t".join(cells)
        if "\\" in line or "\n" in line or "\r" in line or line.count("\t") >= self._width:
            line = "\t".join(map(_escape, cells))
        return line + "\n"


def _escape(cell: str) -> str:
    return (
        cell.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
        if cell
        else ""
    )


def _complaints(complaints: list[Complaint]) -> str:
    return orjson.dumps(
        [{"column": item.column or None, "value": item.value, "message": item.message} for item in complaints]
    ).decode()
