"""The number of an import → the people of the list whom it created or changed."""

from __future__ import annotations

from decimal import Decimal

from django_filters import NumberFilter

from profiles.models import Change
from profiles.search.list_filters import ListFilter, Roots


def _by_import(roots: Roots, value: Decimal) -> Roots:
    """Created or changed by this import."""
    changes = Change.objects.filter(cause=Change.Cause.IMPORT, cause_id=int(value))
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
