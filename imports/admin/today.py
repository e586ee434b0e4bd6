"""What ``imports`` adds to the first page and to the menu's counts: plans that wait for somebody to apply them."""

from __future__ import annotations

from django.db.models import QuerySet

from cdp.admin import needs_attention
from cdp.admin.needs_attention import Item, url
from cdp.plurals import counted
from imports.models import Import


def _waiting() -> QuerySet[Import]:
    return Import.objects.filter(state=Import.State.PLANNED)


def _items() -> list[Item]:
    planned = _waiting().select_related("user").defer("sample", "mapping", "warnings")
    return [
        Item(
            "warn",
            f"{planned_import.name} is planned and waits",
            _detail(planned_import),
            "Review plan",
            url("admin:imports_import_change", planned_import.pk),
            planned_import.planned_at,
        )
        for planned_import in planned[:3]
    ]


def _detail(planned_import: Import) -> str:
    counts = planned_import.counts
    written = counts.get("created", 0) + counts.get("updated", 0)
    by = f" · uploaded by {planned_import.user}" if planned_import.user else ""
    return f"{written:,} of {counted(counts.get('rows', 0), 'rows')} would be imported{by}"


def register() -> None:
    needs_attention.providers.register(
        "planned imports",
        needs_attention.Provider(
            permission="imports.change_import",
            task="imports",
            items=_items,
            count=lambda: _waiting().order_by()[: needs_attention.MOST].count(),
        ),
    )
