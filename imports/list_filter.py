"""The number of an import → the people of the list whom it created or changed."""

from __future__ import annotations

from decimal import Decimal

from django_filters import NumberFilter

from cdp.errors import Invalid
from cdp.ids import row_id
from imports.models import Import
from profiles.models import Change
from profiles.search.list_filters import ListFilter, Roots


def _by_import(roots: Roots, value: Decimal) -> Roots:
    """Created or changed by this import. Raises Invalid for one that never was."""
    number = row_id(str(value))
    changes = Change.objects.filter(cause=Change.Cause.IMPORT, cause_id=number)
    if not (Import.objects.filter(pk=number).exists() or changes.exists()):
        message = f"There is no import #{value}."
        raise Invalid([{"field": "import", "value": str(value), "message": message}])
    return roots.filter(pk__in=changes.values("profile__canonical_id"))


FILTER = ListFilter(
    label="Import",
    filter_class=NumberFilter,
    apply=_by_import,
    sentence=lambda values: ("is", f"#{values[-1]}"),
    template="admin/imports/filter.html",
    description="Made or changed by this import.",
    api_type=int,
    names_people=False,
)
