"""An import → its JSON in the HTTP API, and the serializers that describe it in the schema."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.times import iso
from imports.alternates import LISTED, alternates
from imports.downloads import can_view_pii
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


class FileDoc(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField()
    encoding = serializers.CharField()
    delimiter = serializers.CharField()


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
    counts = serializers.DictField(child=serializers.IntegerField())
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
    problems = ProblemDoc(many=True, help_text=f"The first {MAX_PROBLEMS}; rejected.csv has all rows.")
    shared_identifiers = SharedIdentifierDoc(
        many=True, help_text="Identifiers that unlike rows share, most repeated first."
    )
    alternates = AlternateDoc(
        many=True,
        help_text=f"Cells that lost against another row of the person; the first {LISTED}, plan.csv has all.",
    )


def summary(import_: Import) -> dict[str, Any]:
    """Everything but the problems. No query when ``job`` was loaded with the import."""
    job = import_.job
    return {
        "id": import_.pk,
        "state": import_.display_state,
        "kind": import_.kind,
        "file": {
            "name": import_.name,
            "size": import_.size,
            "sha256": import_.sha256,
            "encoding": import_.dialect.get("encoding", ""),
            "delimiter": import_.dialect.get("delimiter", ""),
        },
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
        "counts": {**NO_COUNTS, **import_.counts},
        "warnings": import_.warnings,
        "problem": import_.problem,
        "job_id": import_.job_id,
        "resumes": job.resumes if job else 0,
        "created_at": iso(import_.created_at),
        "planned_at": iso(import_.planned_at),
        "applied_at": iso(import_.applied_at),
        "finished_at": iso(import_.finished_at),
    }


def _mapping(import_: Import) -> dict[str, Any]:
    """With the policy of every column, given or default. Two queries."""
    try:
        return dict(read_mapping(import_, load_context(import_.options)).as_json())
    except Invalid:
        return dict(import_.mapping)


def detail(import_: Import, actor: Actor) -> dict[str, Any]:
    """With the first problems; values masked for who may not see them. At most seven queries."""
    lists: dict[str, list[dict[str, Any]]] = {"problems": [], "shared_identifiers": [], "alternates": []}
    if import_.state in _WITH_ROWS and has_rows(import_):
        lists = {
            "problems": row_problems(import_, limit=MAX_PROBLEMS),
            "shared_identifiers": shared_identifiers(import_),
            "alternates": alternates(import_),
        }
        if not can_view_pii(import_, actor):
            lists = {name: [_masked(row) for row in rows] for name, rows in lists.items()}
    return {**summary(import_), "mapping": _mapping(import_), **lists}


def _masked(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "value": DOTS if row["value"] else row["value"]}
