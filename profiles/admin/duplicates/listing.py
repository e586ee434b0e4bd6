"""The queue of suggested pairs: tabs by tier, filters, figures, and what can be done with many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.ids import row_id, row_ids
from cdp.models import Job, User
from cdp.plurals import counted
from profiles.admin.list_filters import without
from profiles.admin.staff_views import back, may_see, render, staff_view, write
from profiles.duplicates.finding.full_scan import KIND, PERMISSION, start_scan
from profiles.duplicates.review import queue
from profiles.duplicates.review.decide import LATER, NOT_DUPLICATE, REOPEN, assign, decide_many
from profiles.duplicates.review.explain import explain, score_for
from profiles.duplicates.review.pair_text import PairText, pair_text, percent
from profiles.masking import displayed
from profiles.models import DuplicateCase, DuplicatePair, DuplicatePolicy, MatchBase, Profile, Source

FILTERS = ("source", "score", "days", "assignee", "profile")
_CURSORS = ("after", "before")
MAX_REASONS = 4
DECISIONS = {NOT_DUPLICATE: "not duplicates", LATER: "put off", REOPEN: "back in the queue"}


@dataclass(frozen=True, slots=True)
class PairRow:
    """A pair as the list displays it; ``reasons`` are ``(text, tone)``, the heaviest first."""

    pair: DuplicatePair
    a: Profile
    b: Profile
    percent: int
    text: PairText
    reasons: list[tuple[str, str]]
    url: str


def queue_url() -> str:
    return reverse("admin:profiles_duplicatepair_changelist")


def read_wanted(params: QueryDict) -> queue.QueueFilter:
    """The filter an address asks for. Raises Invalid with one problem for each value that cannot be read."""
    problems: list[dict[str, Any]] = []

    def number(name: str, message: str, *, low: float = 0, high: float = 10**18) -> float | None:
        raw = params.get(name, "").strip().replace(",", ".")
        if not raw:
            return None
        try:
            value = float(raw)
        except ValueError:
            value = -1
        if not low <= value <= high:
            problems.append({"field": name, "value": raw, "message": message})
            return None
        return value

    percent = number("score", "“One person in at least … of 100” is a number from 1 to 99.", low=1, high=99)
    days = number("days", "“Known for” is a number of days.", high=10_000)
    assignee = number("assignee", "Choose somebody from the list.")
    profile = number("profile", "A profile is named by its number.")
    if problems:
        raise Invalid(problems)
    policy = DuplicatePolicy.current() if percent else None
    return queue.QueueFilter(
        state=params.get("state", queue.OPEN),
        tier=params.get("tier", ""),
        source=params.get("source", ""),
        score=score_for(percent / 100, policy) if percent and policy else None,
        days=int(days or 0),
        assignee=None if assignee is None else int(assignee),
        profile=None if profile is None else int(profile),
    )


def query_of(params: QueryDict, **changes: str) -> str:
    """The address's own filter with some of it changed, from the first page on."""
    plain = without(params, *_CURSORS, *changes)
    for name, value in changes.items():
        if value:
            plain[name] = value
    return f"?{plain.urlencode()}"


@staff_view("profiles.view_duplicatepair")
def pairs(request: HttpRequest) -> HttpResponse:
    """The page: one tier of the queue, the surest first."""
    params, problems = request.GET, []
    try:
        wanted = read_wanted(params)
        counts = queue.tier_counts(wanted)
        if not wanted.tier and wanted.state != queue.DECIDED:
            wanted = replace(wanted, tier=queue.first_tier(counts))
        page = queue.page_of(wanted, after=params.get("after", ""), before=params.get("before", ""))
    except Invalid as error:
        problems = [problem["message"] for problem in error.problems]
        wanted, page = queue.QueueFilter(tier=queue.TIERS[0]), queue.PairPage([])
        counts = queue.tier_counts(queue.QueueFilter())
    return render(request, "duplicates/queue.html", _context(request, wanted, page, counts, problems))


def _context(
    request: HttpRequest,
    wanted: queue.QueueFilter,
    page: queue.PairPage,
    counts: list[queue.TierCount],
    problems: list[str],
) -> dict[str, Any]:
    params, user = request.GET, request.user
    may_decide = user.has_perm("profiles.change_duplicatepair")
    everybody, mine = queue.decided_today(int(user.pk or 0))
    return {
        "title": "Duplicates",
        "rows": pair_rows(page.rows, params, can_view_pii=may_see(request)),
        "tabs": [(count, query_of(params, tier=count.tier), count.tier == wanted.tier) for count in counts],
        "states": [
            (label, query_of(params, state=key, tier=""), key == wanted.state)
            for key, label in queue.STATES.items()
        ],
        "wanted": wanted,
        "list_query": query_of(params, tier=wanted.tier, state=wanted.state),
        "params": params,
        "problems": problems,
        "is_filtered": any(params.get(name) for name in FILTERS),
        "newer_url": query_of(params, before=page.before) if page.before else "",
        "older_url": query_of(params, after=page.after) if page.after else "",
        "review_url": review_url(wanted, params),
        "sources": list(Source.objects.values_list("name", flat=True)),
        "staff": list(User.objects.filter(is_active=True, is_staff=True).order_by("username")[:200]),
        "may_decide": may_decide,
        "may_tick": may_decide and bool(page.rows),
        "decided_today": everybody,
        "decided_by_me": mine,
        "days": queue.decided_per_day(),
        **frame(request),
    }


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context of every page about duplicates: the last scan and how many cases wait. Three queries."""
    base = MatchBase.objects.filter(pk=1).first()
    cases = DuplicateCase.objects.filter(state="open")
    return {
        "base": base,
        "scan_job": Job.objects.open().filter(kind=KIND).first(),
        "may_scan": request.user.has_perm(PERMISSION),
        "case_counts": {
            kind: cases.filter(kind=kind)[: queue.MAX_COUNTED].count() for kind in ("people", "shared_value")
        },
    }


def review_url(wanted: queue.QueueFilter, params: QueryDict, pair: DuplicatePair | None = None) -> str:
    """Where the review of this filter begins, or of one pair within it."""
    query = query_of(params, tier=wanted.tier)
    if pair is None:
        return reverse("admin:profiles_duplicatepair_next") + query
    return reverse("admin:profiles_duplicatepair_review", args=[pair.pk]) + query


def pair_rows(pairs: list[DuplicatePair], params: QueryDict, *, can_view_pii: bool) -> list[PairRow]:
    """No query beyond the policy's one."""
    policy = DuplicatePolicy.current()
    return [_pair_row(pair, policy, params, can_view_pii) for pair in pairs]


def _pair_row(pair: DuplicatePair, policy: DuplicatePolicy, params: QueryDict, can_view_pii: bool) -> PairRow:
    reasons = explain(pair, can_view_pii=can_view_pii)
    # What compares a field, and a third profile, says more to people than what fields say together.
    reasons.sort(key=lambda reason: (not (reason.field or reason.is_transitive), -abs(reason.weight)))
    a, b = (displayed(side.canonical, can_view_pii=can_view_pii) for side in (pair.a, pair.b))
    return PairRow(
        pair,
        a,
        b,
        percent(pair, policy),
        pair_text(pair, policy),
        [(reason.text, reason.tone) for reason in reasons[:MAX_REASONS]],
        reverse("admin:profiles_duplicatepair_review", args=[pair.pk]) + query_of(params),
    )


# --- With many ----------------------------------------------------------------------------------------------


@write("profiles.view_duplicatepair", "profiles.change_duplicatepair")
def act(request: HttpRequest) -> HttpResponse:
    """Decide about the ticked pairs, or hand them to somebody."""
    target = back(request) or queue_url()
    ids = row_ids(request.POST.getlist("ids"))[: queue.PAGE]
    if not ids:
        raise Invalid([{"field": "ids", "value": None, "message": "Tick at least one pair first."}])
    actor, action = Actor.of_request(request), request.POST.get("do", "")
    if action == "assign":
        to = row_id(request.POST.get("to")) or None
        count = assign(pair_ids=ids, user_id=to, actor=actor)
        messages.success(request, f"{counted(count, 'pairs')} {'assigned' if to else 'assigned to nobody'}.")
        return redirect(target)
    if action not in DECISIONS:
        raise Invalid([{"field": "do", "value": action, "message": "Choose what to do with the pairs."}])
    many = decide_many(pair_ids=ids, verdict=action, actor=actor)
    for problem in many.problems:
        messages.error(request, problem)
    if many.decided:
        messages.success(request, f"{counted(len(many.decided), 'pairs')} {DECISIONS[action]}.")
    return redirect(target)


@write("profiles.view_duplicatepair", PERMISSION)
def scan(request: HttpRequest) -> HttpResponse:
    """Compare everybody now."""
    job = start_scan(actor=Actor.of_request(request))
    return redirect(reverse("admin:cdp_job_change", args=[job.pk]))
