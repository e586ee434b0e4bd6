"""One suggested pair side by side: every field with what it weighs, and the decision (D2). Works without JavaScript."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.ids import row_id
from cdp.times import day
from profiles.admin.door import by, card_url, door, form_page, may_see, render
from profiles.admin.duplicates.listing import (
    frame,
    percent,
    query_of,
    queue_url,
    read_wanted,
    review_url,
)
from profiles.duplicates.review import queue
from profiles.duplicates.review.decide import MERGE, VERDICTS, StalePair, decide, find_pair, state_of
from profiles.duplicates.review.explain import Reason, explain
from profiles.duplicates.scoring.tiers import tier_reason
from profiles.masking import mask_view
from profiles.merging.merge import members_count
from profiles.merging.suggest_winner import Suggestion, suggest_winner
from profiles.models import DuplicatePair, DuplicatePolicy, Profile, Tier
from profiles.pairs.verdicts import decider
from profiles.reading.profiles import ProfileView, profile_views
from profiles.values.attributes import attribute_specs, display, get_value, label_of

# What the bars of the waterfall are drawn to: more bits than one field says.
FULL = 12.0
# What says less is folded into one line with its like.
MINOR = 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """One field of both people. ``tone`` is good, near, bad or "" for what was not compared.

    ``start`` and ``width`` place the bar between 0 and 100; 50 is where nothing is said.
    """

    label: str
    a: str
    b: str
    tone: str = ""
    text: str = ""
    weight: float | None = None
    start: float = 50.0
    width: float = 0.0
    more: tuple[str, ...] = ()


def _read(request: HttpRequest) -> queue.QueueFilter:
    try:
        return read_wanted(request.GET)
    except Invalid:
        return queue.QueueFilter()  # the address was edited by hand; the list says what is wrong with it


@door("profiles.view_duplicatepair")
def start(request: HttpRequest) -> HttpResponse:
    """The first pair of a filter; the queue when nothing is left."""
    wanted = _with_tier(_read(request))
    pair = queue.next_pair(wanted, None)
    if pair is None:
        messages.success(request, "Nothing is left to review here.")
        return redirect(queue_url() + query_of(request.GET, tier=""))
    return redirect(review_url(wanted, request.GET, pair))


def _with_tier(wanted: queue.QueueFilter) -> queue.QueueFilter:
    if wanted.tier or wanted.state == queue.DECIDED:
        return wanted
    return replace(wanted, tier=queue.first_tier(queue.tier_counts(wanted)))


@form_page("profiles.view_duplicatepair")
def review(request: HttpRequest, pair_id: int) -> HttpResponse:
    try:
        pair = find_pair(pair_id)
        if request.method == "POST":
            return _decide(request, pair)
        return _show(request, pair)
    except StalePair as refusal:
        if refusal.pair is None:
            return _gone(request, refusal)
        messages.warning(request, refusal.message)
        return _show(request, find_pair(pair_id), status=409)


def _gone(request: HttpRequest, refusal: StalePair) -> HttpResponse:
    context = {
        "title": "This suggestion is gone",
        "reason": refusal.message,
        "next_url": reverse("admin:profiles_duplicatepair_next") + query_of(request.GET),
        **frame(request),
    }
    return render(request, "duplicates/gone.html", context, status=409)


def _decide(request: HttpRequest, pair: DuplicatePair) -> HttpResponse:
    """Carry it out as it was shown, then on to the next."""
    sent = request.POST
    verdict = sent.get("do", "")
    if not request.user.has_perm("profiles.change_duplicatepair"):
        raise PermissionDenied
    if verdict == MERGE and not request.user.has_perm("profiles.merge_profile"):
        raise PermissionDenied
    if verdict not in VERDICTS:
        raise Invalid([{"field": "do", "value": verdict, "message": "Choose what to do with the pair."}])
    wanted = _with_tier(_read(request))
    following = queue.next_pair(wanted, pair)
    done = decide(
        pair_id=pair.pk,
        verdict=verdict,
        winner_id=row_id(sent.get("winner")) or None if verdict == MERGE else None,
        state=sent.get("state") or "none",
        **by(request),
    )
    messages.success(request, _said(request, done))
    if following is None or following.pk == pair.pk:
        return redirect(reverse("admin:profiles_duplicatepair_next") + query_of(request.GET))
    return redirect(review_url(wanted, request.GET, following))


def _said(request: HttpRequest, done: Any) -> str:
    if done.merge_id is None or not request.user.has_perm("profiles.unmerge_profile"):
        return str(done.message)
    url = reverse("admin:profiles_merge_undo", args=[done.merge_id])
    return format_html('{} <a href="{}">Undo…</a>', done.message, url)


# --- What is shown ------------------------------------------------------------------------------------------


def _show(request: HttpRequest, pair: DuplicatePair, *, status: int = 200) -> HttpResponse:
    sees, params = may_see(request), request.GET
    wanted = _with_tier(_read(request))
    reasons = explain(pair, can_view_pii=sees)
    one, other = pair.a.canonical, pair.b.canonical
    is_two = one.pk != other.pk
    suggestion = suggest_winner(one.pk, other.pk) if is_two else None
    winner_id = _winner(params, suggestion) if suggestion else one.pk
    views = profile_views([one, other]) if is_two else profile_views([one]) * 2
    shown = [view if sees else mask_view(view) for view in views]
    following, before = queue.next_pair(wanted, pair), queue.previous_pair(wanted, pair)
    audit.record(
        "profile.compare",
        actor=Actor.of_request(request),
        subject=f"profile:{one.pk}",
        detail={"other": other.pk, "pair": pair.pk},
    )
    policy = DuplicatePolicy.current()
    context = {
        "title": "Are these two one person?",
        "pair": pair,
        "sides": [_side(view, winner_id) for view in shown],
        "lines": lines_of(shown, reasons, sees=sees),
        "together": together_of(reasons, pair.score),
        "door_says": [reason.text for reason in reasons if reason.is_from_source],
        "percent": percent(pair, policy),
        "policy": policy,
        "rule": tier_reason(pair.rule, pair.veto),
        "through_url": card_url(pair.through_id) if pair.through_id else "",
        "state": state_of(pair),
        "winner_id": winner_id,
        "loser_id": (other if winner_id == one.pk else one).pk,
        "suggestion": suggestion,
        "flip_url": query_of(params, winner=str((other if winner_id == one.pk else one).pk)),
        "next_url": review_url(wanted, _plain(params), following) if following else "",
        "previous_url": review_url(wanted, _plain(params), before) if before else "",
        "queue_url": queue_url() + query_of(_plain(params), tier=wanted.tier),
        "is_open": is_two and pair.verdict in (DuplicatePair.Verdict.OPEN, DuplicatePair.Verdict.LATER),
        "is_related": pair.tier == Tier.RELATED,
        "decided": _decided(pair),
        "why_url": _why(pair),
        "may_decide": request.user.has_perm("profiles.change_duplicatepair"),
        "may_merge": request.user.has_perm("profiles.merge_profile"),
        **frame(request),
    }
    return render(request, "duplicates/review.html", context, status=status)


def _plain(params: QueryDict) -> QueryDict:
    left = params.copy()
    left.pop("winner", None)
    return left


def _winner(params: QueryDict, suggestion: Suggestion) -> int:
    asked, ids = params.get("winner", ""), (suggestion.winner_id, suggestion.loser_id)
    return int(asked) if asked in map(str, ids) else suggestion.winner_id


def _side(view: ProfileView, winner_id: int) -> dict[str, Any]:
    profile = view.profile
    return {
        "profile": profile,
        "url": card_url(profile.pk),
        "is_winner": profile.pk == winner_id,
        "identifiers": [(row.type.label or row.type.name, row.value) for row in view.identifiers[:6]],
        "more": max(0, len(view.identifiers) - 6),
        "tags": view.tags,
        "counts": members_count(profile.pk),
        "source": profile.source.name,
    }


def lines_of(views: list[ProfileView], reasons: list[Reason], *, sees: bool) -> list[Line]:
    """Compared fields with their weights first, in the model's order; then what else either of them has."""
    lines, told, specs = [], set(), attribute_specs()
    for reason in reasons:
        if not reason.field or reason.is_from_source:
            continue
        told.add(reason.field)
        lines.append(_bar(reason.label, reason))
    for field in Profile.FIELDS:
        if field in told:
            continue
        values = [get_value(view.profile, field) for view in views]
        if any(value not in (None, "") for value in values):
            a, b = (display(field, value) if value not in (None, "") else "" for value in values)
            lines.append(Line(label_of(field, specs), a, b))
    return lines


def together_of(reasons: list[Reason], score: float) -> list[Line]:
    """What fields say together, what says little as one line; and where every pair begins, so that the bars add up."""
    told = [reason for reason in reasons if not (reason.field or reason.is_from_source)]
    lines = [_bar(reason.label, reason) for reason in told if abs(reason.weight) >= MINOR]
    if minor := [reason for reason in told if abs(reason.weight) < MINOR]:
        text = f"{len(minor)} that say{'s' if len(minor) == 1 else ''} little"
        more = tuple(f"{one.text} {one.weight:+.1f}".replace("-", "−") for one in minor)
        lines.append(_line("Together", text, sum(one.weight for one in minor), more=more))
    if weighed := [reason.weight for reason in reasons if not reason.is_from_source]:
        lines.append(
            _line("To begin with", "most who have something in common are two people", score - sum(weighed))
        )
    return lines


def _bar(label: str, reason: Reason) -> Line:
    return _line(label, reason.text, reason.weight, a=reason.a, b=reason.b, tone=reason.tone)


def _line(
    label: str,
    text: str,
    weight: float,
    *,
    a: str = "",
    b: str = "",
    tone: str = "",
    more: tuple[str, ...] = (),
) -> Line:
    share = min(abs(weight), FULL) / FULL * 50
    return Line(label, a, b, tone, text, weight, 50.0 if weight >= 0 else 50 - share, share, more)


def _decided(pair: DuplicatePair) -> str:
    if pair.verdict == DuplicatePair.Verdict.LATER and pair.later_until:
        return f"Put off by {decider(pair)}: comes back on {day(pair.later_until)}."
    if (
        pair.verdict in (DuplicatePair.Verdict.MERGED, DuplicatePair.Verdict.NOT_DUPLICATE)
        and pair.decided_at
    ):
        return f"{pair.get_verdict_display()}: {decider(pair)}, {day(pair.decided_at)}."
    return ""


def _why(pair: DuplicatePair) -> str:
    try:
        return reverse("admin:profiles_duplicatepair_why", args=[pair.pk])
    except NoReverseMatch:
        return ""
