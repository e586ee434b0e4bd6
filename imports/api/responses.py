"""An import → its JSON in the HTTP API, and the serializers that describe it in the schema."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.looks import saw
from cdp.times import iso
from imports.alternates import LISTED, alternates
from imports.cells import REASONS, CellAccount, account_json, cell_account, sums_json
from imports.downloads import can_view_pii
from imports.files import Dialect
from imports.mappings import load_context, read_mapping
from imports.models import Import
from imports.partitions import has_rows
from imports.report import OUTCOMES, row_problems
from imports.shared_identifiers import shared_identifiers
from profiles.masking import DOTS

MAX_PROBLEMS = 100
NO_COUNTS = dict.fromkeys(("rows", *OUTCOMES), 0)
_WITH_ROWS = frozenset(
    (
        Import.State.PLANNED,
        Import.State.APPLYING,
        Import.State.DONE,
        Import.State.FAILED,
        Import.State.CANCELED,
    )
)


class DoubtDoc(serializers.Serializer[Any]):
    code = serializers.CharField(
        help_text="encoding_guessed, double_encoded, delimiter_guessed, one_column, no_header or no_identifier"
    )
    message = serializers.CharField()
    sample = serializers.ListField(child=serializers.CharField(), help_text="Cells that show it.")


class LineDoc(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    text = serializers.CharField()


class FileDoc(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField()
    format = serializers.CharField(help_text="csv or jsonl; delimiter, quotes and header are those of CSV.")
    encoding = serializers.CharField()
    delimiter = serializers.CharField()
    quotechar = serializers.CharField(allow_blank=True, help_text="Empty: the file does not quote.")
    skip_space = serializers.BooleanField(help_text="A space after the delimiter is not part of the cell.")
    header_line = serializers.IntegerField()
    has_header = serializers.BooleanField()
    max_quoted_lines = serializers.IntegerField(help_text="Longer cells are taken for a missing quote.")
    above_header = LineDoc(many=True, help_text="The first lines above the header; they are not imported.")
    doubts = DoubtDoc(
        many=True,
        help_text="Guesses to confirm. With any, `auto_apply` stops at `planned`; a setting that is sent settles its own.",
    )


class ProgressDoc(serializers.Serializer[Any]):
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True)
    rate = serializers.FloatField(allow_null=True, help_text="Rows per second.")
    eta_seconds = serializers.IntegerField(allow_null=True)


class ProblemDoc(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    column = serializers.CharField(allow_null=True, help_text="null: the row as a whole.")
    value = serializers.CharField(allow_null=True)
    message = serializers.CharField()
    outcome = serializers.CharField(help_text="failed, conflict or held")


class CellSumsDoc(serializers.Serializer[Any]):
    """Filled cells by outcome; the outcomes add up to `total`."""

    total = serializers.IntegerField(
        help_text="Cells of the file that are not empty, counted while it was read."
    )
    stored = serializers.IntegerField(help_text="The person has the value from this file.")
    same = serializers.IntegerField(help_text="The person has it already, as their value or as an alternate.")
    kept_out = serializers.IntegerField(help_text="Tags and consents where the person keeps what they have.")
    alternate = serializers.IntegerField(
        help_text="Another value won; this one is kept on the person's card."
    )
    left_out = serializers.IntegerField(
        help_text="Cannot be read, a word for empty, a stand-in, a shared identifier."
    )
    row_rejected = serializers.IntegerField(help_text="Cells of rows that were rejected or left out.")
    ignored = serializers.IntegerField(help_text="Cells of columns that are not imported.")
    outside_table = serializers.IntegerField(
        help_text="The header, lines above it, and cells beside the table."
    )


class ColumnCellsDoc(CellSumsDoc):
    column = serializers.CharField(help_text="The header; several columns may have the same.")


class CellTotalsDoc(CellSumsDoc):
    columns = ColumnCellsDoc(many=True, required=False, help_text="In the file's order; not in lists.")


class CellReasonDoc(serializers.Serializer[Any]):
    outcome = serializers.CharField()
    reason = serializers.ChoiceField(tuple(REASONS))
    message = serializers.CharField()
    count = serializers.IntegerField()


class CellsDoc(CellSumsDoc):
    columns = ColumnCellsDoc(many=True, help_text="In the file's order.")
    reasons = CellReasonDoc(many=True)


class CountsDoc(serializers.Serializer[Any]):
    """Rows by outcome, which add up to `rows`; `cells` are no rows."""

    rows = serializers.IntegerField()
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    failed = serializers.IntegerField()
    conflict = serializers.IntegerField()
    duplicate_in_file = serializers.IntegerField()
    suppressed = serializers.IntegerField()
    held = serializers.IntegerField()
    skipped = serializers.IntegerField(
        required=False, help_text="Empty rows and lines above the header, if any."
    )
    not_applied = serializers.IntegerField(
        required=False, help_text="Behind the line where the import ended."
    )
    cells = CellTotalsDoc(required=False, help_text="Once there is a plan.")


class ImportSummary(serializers.Serializer[Any]):
    """In `planned`, `counts` are what will happen; in `done`, what happened. The outcomes add up to `rows`."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(Import.State.choices)
    kind = serializers.ChoiceField(Import.Kind.choices)
    file = FileDoc()
    headers = serializers.ListField(child=serializers.CharField())
    mapping = serializers.DictField()
    options = serializers.DictField()
    revision = serializers.IntegerField(help_text="Grows with every change of the mapping.")
    progress = ProgressDoc()
    counts = CountsDoc()
    warnings = serializers.ListField(child=serializers.DictField())
    problem = serializers.CharField(help_text="Why the import as a whole failed, as a sentence.")
    job_id = serializers.IntegerField(allow_null=True)
    resumes = serializers.IntegerField(help_text="How often another worker took over.")
    created_at = serializers.DateTimeField()
    planned_at = serializers.DateTimeField(allow_null=True)
    applied_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class SharedIdentifierDoc(serializers.Serializer[Any]):
    type = serializers.CharField()
    value = serializers.CharField(allow_null=True, help_text="null: the rows are no longer stored.")
    line = serializers.IntegerField(help_text="The first of its rows.")
    rows = serializers.IntegerField()
    names = serializers.IntegerField(
        help_text="Different names in the rows and of the person who has the value."
    )
    emails = serializers.IntegerField()
    birth_dates = serializers.IntegerField()
    is_held = serializers.BooleanField(help_text="It leads to too many people, so the rows go in without it.")


class AlternateDoc(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    same_person_as_line = serializers.IntegerField()
    field = serializers.CharField()
    value = serializers.CharField()


class ImportDoc(ImportSummary):
    cells = CellsDoc(
        allow_null=True,
        help_text="Every filled cell of the file by what becomes of it, per column and with reasons; null without a plan.",
    )
    problems = ProblemDoc(many=True, help_text=f"The first {MAX_PROBLEMS}; rejected.csv has all rows.")
    shared_identifiers = SharedIdentifierDoc(
        many=True, help_text="Identifiers that unlike rows share, most repeated first."
    )
    alternates = AlternateDoc(
        many=True,
        help_text=f"Cells that differ from the value the person keeps, or from another row about them; the first {LISTED}, plan.csv has all.",
    )


def _file(import_: Import, *, unmasked: bool) -> dict[str, Any]:
    """How the file is read; cells and lines of it masked for who may not see them."""
    dialect = import_.dialect
    reading = {**Dialect().as_json(), **dialect}
    names = ("format", "quotechar", "skip_space", "header_line", "has_header", "max_quoted_lines")
    above = [{"line": line, "text": text if unmasked else DOTS} for line, text in dialect.get("above", [])]
    doubts = [
        {**doubt, "sample": doubt["sample"] if unmasked else [DOTS for _ in doubt["sample"]]}
        for doubt in import_.doubts
    ]
    return {
        "name": import_.name,
        "size": import_.size,
        "sha256": import_.sha256,
        "encoding": dialect.get("encoding", ""),
        "delimiter": dialect.get("delimiter", ""),
        **{name: reading[name] for name in names},
        "above_header": above,
        "doubts": doubts,
    }


def summary(import_: Import, *, unmasked: bool = False) -> dict[str, Any]:
    """Everything but the problems. No query when ``job`` was loaded with the import."""
    job = import_.job
    return {
        "id": import_.pk,
        "state": import_.display_state,
        "kind": import_.kind,
        "file": _file(import_, unmasked=unmasked),
        "headers": import_.headers,
        "mapping": import_.mapping,
        "options": import_.options,
        "revision": import_.revision,
        "progress": {
            "done": job.done if job else 0,
            "total": job.total if job else None,
            "rate": job.rate if job else None,
            "eta_seconds": job.eta_seconds if job else None,
        },
        "counts": {**NO_COUNTS, **import_.counts, **_cell_totals(cell_account(import_))},
        "warnings": import_.warnings,
        "problem": import_.problem,
        "job_id": import_.job_id,
        "resumes": job.resumes if job else 0,
        "created_at": iso(import_.created_at),
        "planned_at": iso(import_.planned_at),
        "applied_at": iso(import_.applied_at),
        "finished_at": iso(import_.finished_at),
    }


def _cell_totals(account: CellAccount | None) -> dict[str, Any]:
    return {"cells": sums_json(account.total)} if account else {}


def _mapping(import_: Import) -> dict[str, Any]:
    """With the policy of every column, given or default. Two queries."""
    try:
        return dict(read_mapping(import_, load_context(import_.options)).as_json())
    except Invalid:
        return dict(import_.mapping)


def detail(import_: Import, actor: Actor) -> dict[str, Any]:
    """With the first problems; values masked for who may not see them. At most seven queries."""
    lists: dict[str, list[dict[str, Any]]] = {"problems": [], "shared_identifiers": [], "alternates": []}
    unmasked = can_view_pii(import_, actor)
    saw([], subject=f"import:{import_.pk}")
    if import_.state in _WITH_ROWS and has_rows(import_):
        lists = {
            "problems": row_problems(import_, limit=MAX_PROBLEMS),
            "shared_identifiers": shared_identifiers(import_),
            "alternates": alternates(import_),
        }
        if not unmasked:
            lists = {name: [_masked(row) for row in rows] for name, rows in lists.items()}
    data = {**summary(import_, unmasked=unmasked), "mapping": _mapping(import_), "cells": None, **lists}
    if account := cell_account(import_):
        data["cells"] = cells = account_json(account)
        data["counts"]["cells"]["columns"] = cells["columns"]
    return data


def _masked(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "value": DOTS if row["value"] else row["value"]}
