"""The list of segments, and one segment: who is in it, how that changes, its versions, and who is always in or out."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from cdp.actors import Actor
from cdp.errors import Invalid
from profiles.admin.staff_views import form_page, may_see, staff_view, write
from profiles.identity.lookup import find_profile
from profiles.masking import mask_note
from segments.admin import figures
from segments.admin.frame import ADD, CHANGE, VIEW, find_row, people, render, url
from segments.editing import archive_segment, bring_back, pick_profiles, used_by
from segments.models import HandPick, Segment
from segments.rules.parse import parse_rule
from segments.rules.tree import Rule
from segments.vocabulary import Vocabulary

PAGE = 50
PICKS = 50
_STATES = (("", "In use"), ("broken", "Broken"), ("archived", "Archived"))


@staff_view(VIEW)
def segments(request: HttpRequest) -> HttpResponse:
    """Everything there is, with how many are in it now. A fixed number of queries."""
    q, state = request.GET.get("q", "").strip(), request.GET.get("state", "")
    rows = _listed(q, state)
    page = Paginator(rows, PAGE).get_page(request.GET.get("p"))
    shown = list(page)
    counts = figures.people_by_segment([row.pk for row in shown])
    behind = figures.lag()
    context = {
        "title": "Segments",
        "rows": [
            (row, figures.state_of(row, behind), None if counts is None else counts.get(row.pk, 0))
            for row in shown
        ],
        "page": page,
        "q": q,
        "state": state,
        "states": _STATES,
        "may_add": request.user.has_perm(ADD),
    }
    return render(request, "list.html", context)


def _listed(q: str, state: str) -> QuerySet[Segment]:
    rows = Segment.objects.select_related("owner").order_by("name", "pk")
    rows = rows.filter(state=state) if state in ("broken", "archived") else rows.in_use()
    return rows.filter(name__icontains=q) if q else rows


@staff_view(VIEW)
def show(request: HttpRequest, segment_id: int) -> HttpResponse:
    """One segment. A fixed number of queries, whatever its size."""
    segment = find_row(segment_id)
    rule = _rule(segment)
    stays = figures.newest_members(segment, rule)
    shown = {profile.pk: profile for profile in people(request, [stay.profile_id for stay in stays])}
    context: dict[str, Any] = {
        "title": segment.name,
        "segment": segment,
        "state": figures.state_of(segment, figures.lag()),
        "job": figures.filling_job(segment),
        "rule": rule,
        "counts": figures.count_members(segment.pk),
        "chart": figures.chart(segment.pk),
        "today": figures.today(segment.pk),
        "members": [(shown[stay.profile_id], stay) for stay in stays if stay.profile_id in shown],
        "versions": list(segment.versions.select_related("user", "key")[:20]),
        "used_by": used_by(segment),
        "webhooks": figures.listening_webhooks() if request.user.has_perm("cdp.view_webhook") else [],
        "may_change": request.user.has_perm(CHANGE),
        **_picks(request, segment),
    }
    return render(request, "show.html", context)


def _rule(segment: Segment) -> Rule | None:
    """None for one by hand, and for a rule that names what is gone."""
    if segment.is_static:
        return None
    try:
        return parse_rule(segment.rules, Vocabulary())
    except Invalid:
        return None


def _picks(request: HttpRequest, segment: Segment) -> dict[str, Any]:
    """Who is always in or out; two queries."""
    picks = list(
        HandPick.objects.filter(segment=segment).select_related("user", "key", "profile")[: PICKS + 1]
    )
    shown = {row.pk: row for row in people(request, [pick.profile.canonical_id for pick in picks[:PICKS]])}
    rows = [
        (shown[pick.profile.canonical_id], pick, _reason(request, pick.reason))
        for pick in picks[:PICKS]
        if pick.profile.canonical_id in shown
    ]
    return {"picks": rows, "has_more_picks": len(picks) > PICKS}


def _reason(request: HttpRequest, reason: str) -> str:
    return reason if may_see(request) or not reason else mask_note(reason)


# --- Doing something with it --------------------------------------------------------------------------------


@form_page(VIEW, CHANGE)
def archive(request: HttpRequest, segment_id: int) -> HttpResponse:
    """Asks first, naming the segments that would break."""
    segment = find_row(segment_id)
    if request.method == "POST":
        archive_segment(segment_id=segment.pk, actor=Actor.of_request(request))
        messages.success(request, f"“{segment.name}” is archived.")
        return redirect(url("change", segment.pk))
    context = {"title": f"Archive “{segment.name}”", "segment": segment, "used_by": used_by(segment)}
    return render(request, "archive.html", context)


@write(VIEW, CHANGE)
def restore(request: HttpRequest, segment_id: int) -> HttpResponse:
    segment = bring_back(segment_id=segment_id, actor=Actor.of_request(request))
    messages.success(request, f"“{segment.name}” is in use again, and is filled anew.")
    return redirect(url("change", segment.pk))


@write(VIEW, CHANGE)
def pick(request: HttpRequest, segment_id: int) -> HttpResponse:
    """Put somebody in, keep them out, or leave them to the rule again."""
    segment = find_row(segment_id)
    reference = request.POST.get("person", "").strip()
    if not reference:
        message = "Write whom you mean: a number, or type:value like email:ann@example.com."
        raise Invalid([{"field": "person", "value": reference, "message": message}])
    root = find_profile(reference).root
    choice = {"in": True, "out": False}.get(request.POST.get("choice", ""))
    pick_profiles(
        segment_id=segment.pk,
        profile_ids=[root.pk],
        is_in=choice,
        reason=request.POST.get("reason", "").strip(),
        actor=Actor.of_request(request),
    )
    said = {True: "is always in", False: "is always out", None: "is left to the rule again"}[choice]
    if segment.is_static:
        said = "is in the segment" if choice else "is not in the segment any more"
    messages.success(request, f"#{root.pk} {said}. It takes effect within seconds.")
    return redirect(f"{url('change', segment.pk)}#picks")
