"""An import as the HTTP contract shows it, and its description for the schema."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.times import iso
from imports.downloads import may_see
from imports.installation import installed, read_mapping
from imports.models import Import
from imports.partitions import has_rows
from imports.report import OUTCOMES, problems
from profiles.masking import DOTS

PROBLEMS_SHOWN = 100
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


class ImportDoc(serializers.Serializer[Any]):
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
    problems = ProblemDoc(many=True, help_text=f"The first {PROBLEMS_SHOWN}; rejected.csv has all rows.")
    warnings = serializers.ListField(child=serializers.DictField())
    problem = serializers.CharField(help_text="Why the import as a whole failed, as a sentence.")
    job_id = serializers.IntegerField(allow_null=True)
    resumes = serializers.IntegerField(help_text="How often another worker took over.")
    created_at = serializers.DateTimeField()
    planned_at = serializers.DateTimeField(allow_null=True)
    applied_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


def summary(job: Import) -> dict[str, Any]:
    """Everything but the problems; expects ``job`` joined in. No query."""
    work = job.job
    return {
        "id": job.pk,
        "state": job.shown_state,
        "kind": job.kind,
        "file": {
            "name": job.name,
            "size": job.size,
            "sha256": job.sha256,
            "encoding": job.dialect.get("encoding", ""),
            "delimiter": job.dialect.get("delimiter", ""),
        },
        "headers": job.headers,
        "mapping": job.mapping,
        "options": job.options,
        "revision": job.revision,
        "progress": {
            "done": work.done if work else 0,
            "total": work.total if work else None,
            "rate": work.rate if work else None,
            "eta_seconds": work.eta_seconds if work else None,
        },
        "counts": {**NO_COUNTS, **job.counts},
        "warnings": job.warnings,
        "problem": job.problem,
        "job_id": job.job_id,
        "resumes": work.resumes if work else 0,
        "created_at": iso(job.created_at),
        "planned_at": iso(job.planned_at),
        "applied_at": iso(job.applied_at),
        "finished_at": iso(job.finished_at),
    }


def _mapping(job: Import) -> dict[str, Any]:
    """With the policy every column has, said or not. Two queries."""
    try:
        return dict(read_mapping(job, installed(job.options)).as_json())
    except Invalid:
        return dict(job.mapping)


def detail(job: Import, actor: Actor) -> dict[str, Any]:
    """With the first problems; their values only for those who may see them. At most five queries."""
    found: list[dict[str, Any]] = []
    if job.state in _WITH_ROWS and has_rows(job):
        found = problems(job, limit=PROBLEMS_SHOWN)
        if not may_see(job, actor):
            found = [{**one, "value": DOTS if one["value"] else one["value"]} for one in found]
    return {**summary(job), "mapping": _mapping(job), "problems": found}
