"""Cases: groups reviewed as a whole, and values too many share."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from cdp.actors import Actor
from cdp.errors import Invalid, Stale
from cdp.ids import row_id, row_ids
from profiles.admin.door import by, door, form_page, may_see, render
from profiles.admin.duplicates.listing import frame, percent, query_of
from profiles.duplicates.review.decide_cluster import (
    block_shared,
    case_profiles,
    find_case,
    leave_shared,
    merge_case,
    separate_case,
    state_of,
    suggested_winner,
)
from profiles.duplicates.review.explain import explain
from profiles.masking import mask_identifier, mask_profile
from profiles.models import DuplicateCase, DuplicatePair, DuplicatePolicy, Profile

PAGE = 50
NAMED = 20
KINDS = {"people": "Groups", "shared_value": "Shared values"}


def cases_url() -> str:
    return reverse("admin:profiles_duplicatecase_changelist")


@door("profiles.view_duplicatecase")
def cases(request: HttpRequest) -> HttpResponse:
    """Open cases of one kind, newest first. Keyset by id."""
    params, sees = request.GET, may_see(request)
    kind = params.get("kind", "people")
    if kind not in KINDS:
        kind = "people"
    found = DuplicateCase.objects.filter(state="open", kind=kind).select_related("type", "weakest")
    if after := row_id(params.get("after")):
        found = found.filter(pk__lt=after)
    rows = list(found.order_by("-pk")[: PAGE + 1])
    more, rows = len(rows) > PAGE, rows[:PAGE]
    context = {
        "title": "Duplicates",
        "kind": kind,
        "kinds": [(label, f"?kind={key}", key == kind) for key, label in KINDS.items()],
        "rows": [(row, _names(row, people, sees), _value(row, sees)) for row, people in _with_people(rows)],
        "older_url": query_of(params, kind=kind, after=str(rows[-1].pk)) if more else "",
        "first_url": f"?kind={kind}" if after else "",
        **frame(request),
    }
    return render(request, "duplicates/cases.html", context)


def _with_people(rows: list[DuplicateCase]) -> list[tuple[DuplicateCase, list[Profile]]]:
    """Each case with the first of its members. One query."""
    wanted = {one for row in rows for one in row.members[:4]}
    people = Profile.objects.defer("search").in_bulk(wanted)
    return [(row, [people[one] for one in row.members[:4] if one in people]) for row in rows]


def _names(row: DuplicateCase, people: list[Profile], sees: bool) -> str:
    names = dict.fromkeys((one if sees else mask_profile(one)).name for one in people)
    more = row.size - len(people)
    return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")


def _value(row: DuplicateCase, sees: bool) -> str:
    kind = row.type.name if row.type else ""
    return row.value if sees or not row.value else mask_identifier(kind, row.value)


@form_page("profiles.view_duplicatecase")
def case(request: HttpRequest, case_id: int) -> HttpResponse:
    found = find_case(case_id)
    try:
        if request.method == "POST":
            return _act(request, found)
    except Stale as refusal:
        messages.warning(request, refusal.message)
        return _show(request, find_case(case_id), status=409)
    return _show(request, found)


def _show(request: HttpRequest, found: DuplicateCase, *, status: int = 200) -> HttpResponse:
    if found.kind == DuplicateCase.Kind.SHARED_VALUE:
        return _show_shared(request, found, status)
    sees, policy = may_see(request), DuplicatePolicy.current()
    people = case_profiles(found)
    links = list(
        DuplicatePair.objects.filter(a_id__in=found.members, b_id__in=found.members)
        .exclude(verdict=DuplicatePair.Verdict.MERGED)
        .select_related("a", "b")
        .defer("a__search", "b__search")
        .order_by("score", "pk")[:200]
    )
    context = {
        "title": f"Are these {len(people)} one person?",
        "case": found,
        "people": [one if sees else mask_profile(one) for one in people],
        "best": suggested_winner(people),
        "links": [
            (
                link,
                percent(link, policy),
                [one for one in explain(link, can_view_pii=sees) if one.field and one.tone][:6],
                link.pk == found.weakest_id,
            )
            for link in links
        ],
        "state": state_of(found, people),
        "is_open": found.state == DuplicateCase.State.OPEN,
        "may_decide": request.user.has_perms(
            ["profiles.change_duplicatecase", "profiles.change_duplicatepair"]
        ),
        "may_merge": request.user.has_perm("profiles.merge_profile"),
        **frame(request),
    }
    return render(request, "duplicates/case.html", context, status=status)


def _show_shared(request: HttpRequest, found: DuplicateCase, status: int) -> HttpResponse:
    sees = may_see(request)
    people = Profile.objects.defer("search").filter(pk__in=found.members[:NAMED]).order_by("pk")
    context = {
        "title": "A value too many share",
        "case": found,
        "value": _value(found, sees),
        "people": [one if sees else mask_profile(one) for one in people],
        "is_open": found.state == DuplicateCase.State.OPEN,
        "may_decide": _may_block(request),
        **frame(request),
    }
    return render(request, "duplicates/shared.html", context, status=status)


def _may_block(request: HttpRequest) -> bool:
    return request.user.has_perms(["profiles.change_duplicatecase", "profiles.change_identifiertype"])


def _act(request: HttpRequest, found: DuplicateCase) -> HttpResponse:
    sent, do = request.POST, request.POST.get("do", "")
    actor: Any = Actor.of_request(request)
    if not request.user.has_perm("profiles.change_duplicatecase"):
        raise PermissionDenied
    if do in ("block", "share"):
        if do == "block" and not _may_block(request):
            raise PermissionDenied
        done = (block_shared if do == "block" else leave_shared)(case_id=found.pk, actor=actor)
        messages.success(request, done.message if may_see(request) else "Decided.")
        return redirect(f"{cases_url()}?kind=shared_value")
    state = sent.get("state") or "none"
    if do == "separate":
        done = separate_case(case_id=found.pk, state=state, actor=actor)
    elif do == "merge":
        if not request.user.has_perm("profiles.merge_profile"):
            raise PermissionDenied
        done = merge_case(
            case_id=found.pk,
            winner_id=row_id(sent.get("winner")),
            members=row_ids(sent.getlist("members")),
            state=state,
            **by(request),
        )
    else:
        raise Invalid([{"field": "do", "value": do, "message": "Choose what to do with the case."}])
    messages.success(request, done.message)
    return redirect(cases_url())
