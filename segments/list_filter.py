"""The number or name of a segment → the people of the list who are in it now."""

from __future__ import annotations

from typing import Any

from cdp.errors import Invalid
from cdp.ids import row_id
from profiles.search.filters import TextFilter
from profiles.search.list_filters import Choices, ListFilter, Roots
from segments.models import Membership, Segment


def find_segment(value: str) -> Segment:
    """Raises Invalid, naming what there is."""
    rows = Segment.objects.in_use()
    segment = rows.filter(pk=row_id(value)).first() if value.isdigit() else None
    segment = segment or rows.filter(name__iexact=value.strip()).first()
    if segment is None:
        known = ", ".join(rows.order_by("name").values_list("name", flat=True)[:20]) or "none yet"
        message = f"There is no segment “{value[:100]}”. There are: {known}."
        raise Invalid([{"field": "segment", "value": value[:100], "message": message}])
    return segment


def _by_segment(roots: Roots, value: Any) -> Roots:
    current = Membership.objects.current().filter(segment=find_segment(str(value)))
    return roots.filter(pk__in=current.values("profile_id"))


def _sentence(values: list[str]) -> tuple[str, str]:
    value = values[-1]
    name = (
        Segment.objects.filter(pk=row_id(value)).values_list("name", flat=True).first()
        if value.isdigit()
        else None
    )
    return "is", name or value


def _choices() -> Choices:
    return [
        (str(pk), name) for pk, name in Segment.objects.in_use().order_by("name").values_list("pk", "name")
    ]


FILTER = ListFilter(
    label="Segment",
    filter_class=TextFilter,
    apply=_by_segment,
    sentence=_sentence,
    template="admin/profiles/filter_choice.html",
    description="The number or name of a segment whose members they are.",
    choices=_choices,
    names_people=False,
)
