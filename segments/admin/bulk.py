"""The form of the bulk action that puts people into a segment: which one, and why."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from profiles.admin.bulk_forms import BulkForm, forms
from profiles.bulk.run_action import Params
from segments.models import Segment


def _read(typed: QueryDict) -> Params:
    return {"segment": typed.get("segment", ""), "reason": typed.get("reason", "")}


def _context() -> dict[str, Any]:
    rows = Segment.objects.in_use().order_by("name").values_list("pk", "name", "kind")
    return {"segments": [(str(pk), name, kind == Segment.Kind.STATIC) for pk, name, kind in rows]}


forms.register("segment", BulkForm("admin/segments/bulk_segment.html", _read, _context))
