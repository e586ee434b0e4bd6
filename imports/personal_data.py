"""The personal data of ``imports``: the rows of files → classes and a part of the access file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q

from cdp.personal_data_registry import Provider, Section, Subject, Table
from imports.models import Import, Row
from profiles.models import Change, Profile

TABLES = (
    Table(
        "imports.Row",
        identifying=(
            "first_name",
            "last_name",
            "email",
            "phone",
            "street",
            "postcode",
            "birth_date",
            "attributes",
            "keys",
            "raws",
            "diff",
            "kept",
            "problems",
            "notices",
        ),
        personal=(
            "import_id",
            "line",
            "profile_id",
            "city",
            "state",
            "country",
            "gender",
            "language",
            "tags",
            "consents",
            "clears",
        ),
        technical=(
            "outcome",
            "via_id",
            "version",
            "head",
            "types",
            "clashes",
            "cells",
            "news",
        ),
        not_exported={
            "version": "Guards a plan against changes meanwhile.",
            "via_id": "Which of the person's records the line matched; a step inside the system.",
            "head": "Points to another line about the same person, which is in the file too.",
            "types": "Numbers of the kinds of identifiers; the identifiers are in the file.",
            "clashes": "Numbers of other people's profiles.",
            "cells": "Letters that say which cells were filled; the cells are in the file.",
            "news": "Which fields the line was the first to bring; the values are in the file.",
        },
    ),
)

NOT_PERSONAL = {
    "imports.Import": "A file as a whole; the lines about the person are in the file.",
    "imports.SavedMapping": "How columns of files are read.",
}


def files(subject: Subject) -> Iterator[dict[str, Any]]:
    """The files that had this person in them, with the cleaned rows while those are kept.

    Found by the journal (import and line), and by the rows that lead to a member: those tables are read
    through, which takes about a second per ten million rows, and are dropped with the file's retention.
    """
    lines: dict[int, set[int]] = {}
    changes = Change.objects.filter(profile_id__in=subject.member_ids, cause="import", cause_id__isnull=False)
    for import_id, line in changes.values_list("cause_id", "line"):
        lines.setdefault(int(import_id or 0), set()).update([line] if line else [])
    rows: dict[int, list[dict[str, Any]]] = {}
    by_line = Q(pk__in=[])
    for import_id, numbers in lines.items():
        by_line |= Q(import_id=import_id) & (Q(line__in=numbers) | Q(head__in=numbers))
    for row in Row.objects.filter(by_line | Q(profile_id__in=subject.member_ids)).order_by(
        "import_id", "line"
    ):
        rows.setdefault(row.import_id, []).append(_row(row))
    for upload in (
        Import.objects.filter(pk__in={*lines, *rows}).select_related("user", "key", "source").order_by("pk")
    ):
        yield {
            "file": upload.name,
            "uploaded_at": upload.created_at,
            "applied_at": upload.applied_at,
            "uploaded_by": _uploaded_by(upload),
            "source": upload.source.name,
            "import": upload.pk,
            "state": upload.state,
            "lines": sorted({*lines.get(upload.pk, ()), *(row["line"] for row in rows.get(upload.pk, ()))}),
            "rows": rows.get(upload.pk, []),
        }


def _row(row: Row) -> dict[str, Any]:
    values = {name: value for name in Profile.FIELDS if (value := getattr(row, name)) is not None}
    return {
        "line": row.line,
        "outcome": row.outcome,
        "profile_id": row.profile_id,
        "values": values,
        "attributes": row.attributes,
        "identifiers": row.keys,
        "identifiers_as_sent": row.raws,
        "tags": row.tags,
        "consents": row.consents,
        "cleared": row.clears,
        "changes": row.diff,
        "kept_as_alternates": row.kept,
        "problems": row.problems,
        "warnings": row.notices,
    }


def _uploaded_by(upload: Import) -> str:
    return upload.user.get_username() if upload.user else upload.key.name if upload.key else "system"


PROVIDER = Provider(
    tables=TABLES,
    not_personal=NOT_PERSONAL,
    sections={"imports": Section("Files that had this person in them.", files, order=180)},
)
