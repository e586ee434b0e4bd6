"""Groups of three and more reviewed as a whole, and values that too many people share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from cdp.actors import Actor
from cdp.errors import Invalid, Stale
from cdp.ids import row_id, row_ids
from profiles.admin.duplicates.listing import frame, query_of
from profiles.admin.staff_views import by, form_page, may_see, render, staff_view
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
from profiles.duplicates.review.explain import Reason, explain
from profiles.duplicates.review.pair_text import PairText, pair_text
from profiles.masking import displayed, mask_identifier
from profiles.models import DuplicateCase, DuplicatePair, DuplicatePolicy, Profile

PAGE = 50
MAX_NAMED = 20
MAX_LINKS = 200
MAX_REASONS = 6
KINDS = {"people": "Groups", "shared_value": "Shared values"}


@dataclass(frozen=True, slots=True)
class Link:
    """A pair within a group; ``is_weakest`` is the one to look at first."""

    pair: DuplicatePair
    text: PairText
    reasons: list[Reason]
    is_weakest: bool


def cases_url() -> str:
    return reverse("admin:profiles_duplicatecase_changelist")


@staff_view("profiles.view_duplicatecase")
def cases(request: HttpRequest) -> HttpResponse:
    """Open cases of one kind, newest first. Keyset by id."""
    params, can_view_pii = request.GET, may_see(request)
    kind = params.get("kind", "people")
    if kind not in KINDS:
        kind = "people"
    open_cases = DuplicateCase.objects.filter(state="open", kind=kind).select_related("type", "weakest")
    if after := row_id(params.get("after")):
        open_cases = open_cases.filter(pk__lt=after)
    rows = list(open_cases.order_by("-pk")[: PAGE + 1])
    has_more, rows = len(rows) > PAGE, rows[:PAGE]
    context = {
        "title": "Duplicates",
        "kind": kind,
        "kinds": [(label, f"?kind={key}", key == kind) for key, label in KINDS.items()],
        "rows": [
            (row, _names(row, members, can_view_pii), _value(row, can_view_pii))
            for row, members in _with_members(rows)
        ],
        "older_url": query_of(params, kind=kind, after=str(rows[-1].pk)) if has_more else "",
        "first_url": f"?kind={kind}" if after else "",
        **frame(request),
    }
    return render(request, "duplicates/cases.html", context)


def _with_members(rows: list[DuplicateCase]) -> list[tuple[DuplicateCase, list[Profile]]]:
    """Each case with the first of its members. One query."""
    wanted = {profile_id for row in rows for profile_id in row.members[:4]}
    profiles = Profile.objects.defer("search").in_bulk(wanted)
    return [(row, [profiles[pk] for pk in row.members[:4] if pk in profiles]) for row in rows]


def _names(row: DuplicateCase, members: list[Profile], can_view_pii: bool) -> str:
    names = dict.fromkeys(displayed(profile, can_view_pii=can_view_pii).name for profile in members)
    more = row.size - len(members)
    return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")


def _value(row: DuplicateCase, can_view_pii: bool) -> str:
    kind = row.type.name if row.type else ""
    return row.value if can_view_pii or not row.value else mask_identifier(kind, row.value)


@form_page("profiles.view_duplicatecase")
def case(request: HttpRequest, case_id: int) -> HttpResponse:
    current = find_case(case_id)
    try:
        if request.method == "POST":
            return _act(request, current)
    except Stale as refusal:
        messages.warning(request, refusal.message)
        return _show(request, find_case(case_id), status=409)
    return _show(request, current)


def _show(request: HttpRequest, case: DuplicateCase, *, status: int = 200) -> HttpResponse:
    if case.kind == DuplicateCase.Kind.SHARED_VALUE:
        return _show_shared(request, case, status)
    can_view_pii = may_see(request)
    members = case_profiles(case)
    context = {
        "title": f"Are these {len(members)} one person?",
        "case": case,
        "people": [displayed(profile, can_view_pii=can_view_pii) for profile in members],
        "best": suggested_winner(members),
        "links": _links(case, can_view_pii),
        "state": state_of(case, members),
        "is_open": case.state == DuplicateCase.State.OPEN,
        "may_decide": request.user.has_perms(
            ["profiles.change_duplicatecase", "profiles.change_duplicatepair"]
        ),
        "may_merge": request.user.has_perm("profiles.merge_profile"),
        **frame(request),
    }
    return render(request, "duplicates/case.html", context, status=status)


def _links(case: DuplicateCase, can_view_pii: bool) -> list[Link]:
    """The pairs within the group, the weakest first. Two queries."""
    policy = DuplicatePolicy.current()
    pairs = (
        DuplicatePair.objects.filter(a_id__in=case.members, b_id__in=case.members)
        .exclude(verdict=DuplicatePair.Verdict.MERGED)
        .select_related("a", "b")
        .defer("a__search", "b__search")
        .order_by("score", "pk")[:MAX_LINKS]
    )
    return [
        Link(
            pair,
            pair_text(pair, policy),
            [reason for reason in explain(pair, can_view_pii=can_view_pii) if reason.field and reason.tone][
                :MAX_REASONS
            ],
            pair.pk == case.weakest_id,
        )
        for pair in pairs
    ]


def _show_shared(request: HttpRequest, case: DuplicateCase, status: int) -> HttpResponse:
    can_view_pii = may_see(request)
    holders = Profile.objects.defer("search").filter(pk__in=case.members[:MAX_NAMED]).order_by("pk")
    context = {
        "title": "A value too many share",
        "case": case,
        "value": _value(case, can_view_pii),
        "people": [displayed(profile, can_view_pii=can_view_pii) for profile in holders],
        "is_open": case.state == DuplicateCase.State.OPEN,
        "may_decide": _may_block(request),
        **frame(request),
    }
    return render(request, "duplicates/shared.html", context, status=status)


def _may_block(request: HttpRequest) -> bool:
    return request.user.has_perms(["profiles.change_duplicatecase", "profiles.change_identifiertype"])


def _act(request: HttpRequest, case: DuplicateCase) -> HttpResponse:
    form, do = request.POST, request.POST.get("do", "")
    actor: Any = Actor.of_request(request)
    if not request.user.has_perm("profiles.change_duplicatecase"):
        raise PermissionDenied
    if do in ("block", "share"):
        if do == "block" and not _may_block(request):
            raise PermissionDenied
        done = (block_shared if do == "block" else leave_shared)(case_id=case.pk, actor=actor)
        messages.success(request, done.message if may_see(request) else "Decided.")
        return redirect(f"{cases_url()}?kind=shared_value")
    state = form.get("state") or "none"
    if do == "separate":
        done = separate_case(case_id=case.pk, state=state, actor=actor)
    elif do == "merge":
        if not request.user.has_perm("profiles.merge_profile"):
            raise PermissionDenied
        done = merge_case(
            case_id=case.pk,
            winner_id=row_id(form.get("winner")),
            members=row_ids(form.getlist("members")),
            state=state,
            **by(request),
        )
    else:
        raise Invalid([{"field": "do", "value": do, "message": "Choose what to do with the case."}])
    messages.success(request, done.message)
    return redirect(cases_url())
