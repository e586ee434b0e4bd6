"""Imports that were applied → the figures data quality shows of them: rows of the scorecard and the weekly report."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from imports.models import Import
from profiles.quality.import_figures import (
    PAGE_MILLISECONDS,
    DuplicateRate,
    ImportFigures,
    ImportProvider,
    duplicates_by_import,
)
from profiles.quality.weekly_report import mail_url

# The weekly report looks at no more imports than this, the newest.
_REPORTED = 50


def recent(days: int) -> QuerySet[Import]:
    """Imports of people that were applied in these days, the newest first, without their wide columns."""
    start = timezone.now() - datetime.timedelta(days=days)
    imports = Import.objects.filter(kind=Import.Kind.PROFILES, applied_at__gte=start)
    return imports.order_by("-pk").defer("sample", "mapping", "headers", "cells")


def figures(imports: Sequence[Import]) -> list[ImportFigures]:
    """The figures of applied imports, in their order. One query for any number of them."""
    ids = [row.pk for row in imports if row.counts.get("created")]
    duplicates = duplicates_by_import(ids, milliseconds=PAGE_MILLISECONDS) if ids else {}
    return [_figures(row, None if duplicates is None else duplicates.get(row.pk, 0)) for row in imports]


def _figures(row: Import, duplicates: int | None) -> ImportFigures:
    created, warnings = row.counts.get("created", 0), row.warnings
    return ImportFigures(
        import_id=row.pk,
        name=row.name,
        applied_at=row.applied_at,
        created=created,
        duplicates=duplicates if created else 0,
        attribute_columns=[
            warning["column"] for warning in warnings if warning.get("code") == "looks_like_identifier"
        ],
        without_identifier=_count(warnings, "no_identifier"),
        conflicts=row.counts.get("conflict", 0),
    )


def _count(warnings: Sequence[dict[str, Any]], code: str) -> int:
    return sum(warning.get("count", 0) for warning in warnings if warning.get("code") == code)


def rates(since: datetime.datetime) -> list[DuplicateRate]:
    """How many duplicates each import created that was applied and finished since. Two queries."""
    imports = Import.objects.filter(finished_at__gte=since, applied_at__isnull=False).order_by("-pk")
    rows = list(imports.values_list("pk", "name", "counts")[:_REPORTED])
    duplicates = duplicates_by_import([pk for pk, *_ in rows]) or {}
    return [
        DuplicateRate(
            name,
            counts.get("created", 0),
            duplicates.get(pk, 0),
            mail_url("admin:imports_import_change", pk),
        )
        for pk, name, counts in rows
    ]


PROVIDER = ImportProvider(recent=recent, figures=figures, rates=rates)
