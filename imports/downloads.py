"""Files that come out of an import, streamed: the whole plan, the rejected rows to correct, the template."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from django.db import connection
from django.utils.text import get_valid_filename

from cdp.actors import Actor
from cdp.errors import NotFound
from imports.files import FileRefused, read_rows
from imports.installation import dialect_of
from imports.models import Import
from imports.report import REJECTED
from profiles.bulk.csv_rows import safe_cell
from profiles.masking import DOTS, mask_fields
from profiles.models import AttributeDefinition
from profiles.values.attributes import attribute_specs, display, label_of

PAGE = 2_000
TEMPLATE = ("first_name", "last_name", "email", "country", "tags", "reference_id")
# Put before the file's own columns; an upload of the corrected file does not map them.
REJECTED_COLUMNS = ("rejected_line", "rejected_column", "rejected_because")
PLAN_COLUMNS = ("line", "outcome", "profile_id", "same_person_as_line", "changes", "problem")


def may_see(job: Import, actor: Actor) -> bool:
    """Personal data of an import is for those who may see it anyway, and for whoever brought it."""
    uploader = (actor.user_id, actor.key_id) == (job.user_id, job.key_id) and actor.label != "system"
    return uploader or actor.can("profiles.view_pii")


def file_name(job: Import, what: str) -> str:
    stem = get_valid_filename(job.name.rsplit(".", 1)[0] or "import")[:80]
    return f"{stem}-{what}.csv"


def _csv(rows: Iterable[Iterable[Any]]) -> Iterator[bytes]:
    """CSV in pieces of a page's size, never the whole."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for number, row in enumerate(rows, 1):
        writer.writerow(row)
        if number % PAGE == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


# --- Template -------------------------------------------------------------------------------------------


def template_csv() -> bytes:
    """A header alone, with every registered attribute (X1)."""
    names = AttributeDefinition.objects.order_by("name").values_list("name", flat=True)
    return ",".join([*TEMPLATE, *(f"attributes.{name}" for name in names)]).encode() + b"\r\n"


# --- Plan -----------------------------------------------------------------------------------------------


def _pages(job: Import, columns: str, outcomes: Iterable[str] = ()) -> Iterator[tuple[Any, ...]]:
    """Rows in line order, a page per statement: no transaction stays open while somebody downloads."""
    where = " AND outcome = ANY(%(outcomes)s)" if outcomes else ""
    after = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT line, {columns} FROM {job.partition} WHERE line > %(after)s{where} ORDER BY line LIMIT {PAGE}",
                {"after": after, "outcomes": [str(outcome) for outcome in outcomes]},
            )
            page = cursor.fetchall()
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1][0]


def plan_csv(job: Import, *, actor: Actor) -> Iterator[bytes]:
    """Every row with what will happen or happened to it. Raises NotFound when the rows are gone."""
    _check_rows(job)
    specs = attribute_specs()
    clear = may_see(job, actor)

    def rows() -> Iterator[Iterable[Any]]:
        yield PLAN_COLUMNS
        for line, outcome, profile_id, head, diff, problems in _pages(
            job, "outcome, profile_id, head, diff::text, problems::text"
        ):
            fields = orjson.loads(diff) if diff else {}
            changes = "; ".join(
                f"{label_of(name, specs) if '.' in name or name in specs else name}: {_side(name, old)} → {_side(name, new)}"
                for name, (old, new) in (fields if clear else mask_fields(fields, specs)).items()
            )
            why = "; ".join(map(_why, orjson.loads(problems) if problems else ()))
            yield (line, outcome, profile_id or "", head or "", safe_cell(changes), safe_cell(why))

    return _csv(rows())


def _side(name: str, value: Any) -> str:
    return display(name, value) or "(empty)"


def _why(problem: dict[str, Any]) -> str:
    column = problem.get("column")
    return f"{column}: {problem['message']}" if column else str(problem["message"])


def _check_rows(job: Import) -> None:
    from imports.partitions import has_rows

    if not has_rows(job):
        raise NotFound("The rows of this import are gone. They are kept for 30 days after its end.")


# --- Rejected -------------------------------------------------------------------------------------------


def rejected_csv(job: Import, *, actor: Actor) -> Iterator[bytes]:
    """The rejected rows as they stand in the file, with line, column and reason before them.

    Reads the file once along with the list of rejected lines, both in order; memory does not depend on
    either. Raises NotFound when file or rows are gone.
    """
    _check_rows(job)
    if not job.file or not job.file.storage.exists(str(job.file.name)):
        raise NotFound("The file of this import is gone. Files are kept for 30 days after the import's end.")
    clear = may_see(job, actor)

    def rows() -> Iterator[Iterable[Any]]:
        yield [*REJECTED_COLUMNS, *job.headers]
        rejected = _pages(job, "problems::text", REJECTED)
        waiting = next(rejected, None)
        if waiting is None:
            return
        with job.file.open("rb") as file:
            for item in _items(job, file.file):
                if item.line < waiting[0]:
                    continue
                cells = item.cells or []
                yield [*_reasons(waiting), *(cells if clear else [DOTS if cell else "" for cell in cells])]
                waiting = next(rejected, None)
                if waiting is None:
                    return

    return _csv(rows())


def _items(job: Import, source: Any) -> Iterator[Any]:
    reader = read_rows(source, dialect_of(job))
    try:
        yield from reader
    except FileRefused:
        # Planned before the file turned out broken: what was read is what there is.
        return
    finally:
        reader.close()


def _reasons(waiting: tuple[Any, ...]) -> tuple[str, str, str]:
    line, said = waiting
    problems = orjson.loads(said) if said else []
    columns = [problem["column"] for problem in problems if problem.get("column")]
    return (
        str(line),
        ", ".join(dict.fromkeys(columns)),
        " ".join(problem["message"] for problem in problems),
    )
