"""What the pages of segments share: their frame, their addresses, and rows of people as they show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from cdp.errors import NotFound
from profiles.admin.staff_views import may_see
from profiles.masking import displayed
from profiles.models import Profile
from segments.models import Segment

VIEW = "segments.view_segment"
CHANGE = "segments.change_segment"
ADD = "segments.add_segment"
PEOPLE = "profiles.view_profile"


def render(
    request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    request.current_app = admin.site.name
    frame = {**admin.site.each_context(request), "may_see": may_see(request)}
    return TemplateResponse(request, f"admin/segments/{template}", {**frame, **context}, status=status)


def find_row(segment_id: int) -> Segment:
    """The segment with its owner. Raises NotFound."""
    segment = Segment.objects.select_related("owner").filter(pk=segment_id).first()
    if segment is None:
        raise NotFound(f"There is no segment #{segment_id}.")
    return segment


def url(name: str, segment_id: int | None = None) -> str:
    return reverse(f"admin:segments_segment_{name}", args=None if segment_id is None else [segment_id])


def people(request: HttpRequest, ids: Iterable[int]) -> list[Profile]:
    """The profiles in the order of their ids, masked where need be, for whoever may see people at all. One query."""
    if not request.user.has_perm(PEOPLE):
        return []
    wanted = list(ids)
    rows = Profile.objects.defer("search").in_bulk(wanted)
    return [displayed(rows[pk], can_view_pii=may_see(request)) for pk in wanted if pk in rows]
