"""An import → CSV files, streamed: the whole plan, the rejected rows to correct, the template."""

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
from imports.files import Dialect, FileRefused, Row, RowProblem, read_rows
from imports.models import Import
from imports.partitions import has_rows
from imports.report import REJECTED
from profiles.bulk.csv_rows import safe_cell
from profiles.masking import DOTS, mask, mask_fields
from profiles.models import AttributeDefinition
from profiles.values.attributes import attribute_specs, display, label_of

PAGE = 2_000
TEMPLATE = ("first_name", "last_name", "email", "country", "tags", "reference_id")
# Put before the file's own columns; an upload of the corrected file does not map them.
REJECTED_COLUMNS = ("rejected_line", "rejected_column", "rejected_because")
PLAN_COLUMNS = (
    "line",
    "outcome",
    "profile_id",
    "same_person_as_line",
    "changes",
    "problem",
    "warnings",
    "kept_as_alternates",
)


def can_view_pii(import_: Import, actor: Actor) -> bool:
    """Personal data of an import is for those with the permission, and for whoever uploaded it."""
    uploader = (actor.user_id, actor.key_id) == (import_.user_id, import_.key_id) and actor.label != "system"
    return uploader or actor.can("profiles.view_pii")


def file_name(import_: Import, kind: str) -> str:
    stem = get_valid_filename(import_.name.rsplit(".", 1)[0] or "import")[:80]
    return f"{stem}-{kind}.csv"


def _csv(rows: Iterable[Iterable[Any]]) -> Iterator[bytes]:
    """CSV text of ``PAGE`` rows at a time; memory does not depend on their number."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for number, row in enumerate(rows, 1):
        writer.writerow(row)
        if number % PAGE == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


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
                f"SELECT line, {columns} FROM {import_.partition} WHERE line > %(after)s{where} ORDER BY line LIMIT {PAGE}",
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
    unmasked = can_view_pii(import_, actor)

    def rows() -> Iterator[Iterable[Any]]:
        yield PLAN_COLUMNS
        for line_no, outcome, profile_id, head, diff, problems, notices, kept in _pages(
            import_, "outcome, profile_id, head, diff::text, problems::text, notices::text, kept::text"
        ):
            fields = orjson.loads(diff) if diff else {}
            changes = "; ".join(
                f"{label_of(name, specs) if '.' in name or name in specs else name}: {_display_value(name, old)} → {_display_value(name, new)}"
                for name, (old, new) in (fields if unmasked else mask_fields(fields, specs)).items()
            )
            alternates = "; ".join(
                f"{label_of(name, specs)}: {_display_value(name, value if unmasked else mask(name, value, specs))}"
                for name, value in (orjson.loads(kept) if kept else {}).items()
            )
            problem_text = "; ".join(map(_describe_problem, orjson.loads(problems) if problems else ()))
            yield (
                line_no,
                outcome,
                profile_id or "",
                head or "",
                safe_cell(changes),
                safe_cell(problem_text),
                safe_cell(_describe_notices(notices, unmasked=unmasked)),
                safe_cell(alternates),
            )

    return _csv(rows())


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
    """The rejected rows as they are in the file, with line, column and reason before them.

    Reads the file once, side by side with the rejected rows of the plan, both in line order; memory does not depend
    on either. Raises NotFound when file or rows are gone.
    """
    _check_rows(import_)
    if not import_.file or not import_.file.storage.exists(str(import_.file.name)):
        raise NotFound(
            "The file of this import was deleted; files are kept for 30 days after the import ends."
        )
    unmasked = can_view_pii(import_, actor)

    def rows() -> Iterator[Iterable[Any]]:
        yield [*REJECTED_COLUMNS, *import_.headers]
        rejected = _pages(import_, "problems::text", REJECTED)
        reject = next(rejected, None)
        if reject is None:
            return
        with import_.file.open("rb") as file:
            for item in _file_rows(import_, file.file):
                if item.line_no < reject[0]:
                    continue
                cells = item.cells or []
                yield [*_reasons(reject), *(cells if unmasked else [DOTS if cell else "" for cell in cells])]
                reject = next(rejected, None)
                if reject is None:
                    return

    return _csv(rows())


def _file_rows(import_: Import, source: Any) -> Iterator[Row | RowProblem]:
    reader = read_rows(source, Dialect.from_json(import_.dialect))
    try:
        yield from reader
    except FileRefused:
        # The plan failed at this point too: the rows before it are all there are.
        return
    finally:
        reader.close()


def _reasons(reject: tuple[Any, ...]) -> tuple[str, str, str]:
    line_no, problems_json = reject
    problems = orjson.loads(problems_json) if problems_json else []
    columns = [problem["column"] for problem in problems if problem.get("column")]
    return (
        str(line_no),
        ", ".join(dict.fromkeys(columns)),
        " ".join(problem["message"] for problem in problems),
    )
