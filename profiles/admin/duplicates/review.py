"""One suggested pair side by side, conflicts first, and the decision about it. Works without JavaScript."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

from cdp.errors import Invalid
from cdp.ids import row_id
from cdp.times import day
from profiles.admin.duplicates.listing import (
    frame,
    query_of,
    queue_url,
    read_wanted,
    review_url,
)
from profiles.admin.duplicates.pair_rows import field_rows, weight_rows
from profiles.admin.merging import SECOND_LOOK, needs_second_look
from profiles.admin.staff_views import by, card_url, form_page, may_see, render, staff_view
from profiles.duplicates.review import queue
from profiles.duplicates.review.decide import (
    MERGE,
    REOPEN,
    VERDICTS,
    PairDecision,
    StalePair,
    decide,
    find_pair,
    state_of,
)
from profiles.duplicates.review.explain import explain
from profiles.duplicates.review.likelihood import likelihood_of
from profiles.duplicates.review.pair_text import pair_text, percent
from profiles.masking import displayed_view
from profiles.merging.merge import members_count
from profiles.merging.suggest_winner import Suggestion, suggest_winner
from profiles.models import DuplicatePair, DuplicatePolicy, Tier
from profiles.pairs.verdicts import decider
from profiles.reading.profiles import ProfileView, profile_views


def _read(request: HttpRequest) -> queue.QueueFilter:
    try:
        return read_wanted(request.GET)
    except Invalid:
        return queue.QueueFilter()  # the address was edited by hand; the list says what is wrong with it


@staff_view("profiles.view_duplicatepair")
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
        "title": "This suggestion no longer exists",
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
    if verdict == MERGE and needs_second_look(request, pair.a.canonical_id, pair.b.canonical_id):
        messages.error(request, SECOND_LOOK)
        return _show(request, pair, status=422)
    wanted = _with_tier(_read(request))
    following = queue.next_pair(wanted, pair)
    done = decide(
        pair_id=pair.pk,
        verdict=verdict,
        winner_id=row_id(sent.get("winner")) or None if verdict == MERGE else None,
        state=sent.get("state") or "none",
        **by(request),
    )
    messages.success(request, _with_undo(request, pair, done))
    if following is None or following.pk == pair.pk:
        return redirect(reverse("admin:profiles_duplicatepair_next") + query_of(request.GET))
    return redirect(review_url(wanted, request.GET, following))


def _with_undo(request: HttpRequest, pair: DuplicatePair, done: PairDecision) -> str:
    """What was done, with the way to take it back: a merge's own page, or the pair's."""
    if done.verdict == REOPEN:
        return done.message
    if done.merge_id is None:
        url = reverse("admin:profiles_duplicatepair_review", args=[pair.pk])
        url += query_of(_plain(request.GET)).rstrip("?")
    elif request.user.has_perm("profiles.unmerge_profile"):
        url = reverse("admin:profiles_merge_undo", args=[done.merge_id])
    else:
        return done.message
    return format_html('{} <a href="{}">Undo…</a>', done.message, url)


# --- The page ------------------------------------------------------------------------------------------


def _show(request: HttpRequest, pair: DuplicatePair, *, status: int = 200) -> HttpResponse:
    can_view_pii, params = may_see(request), request.GET
    wanted = _with_tier(_read(request))
    reasons = explain(pair, can_view_pii=can_view_pii)
    a, b = pair.a.canonical, pair.b.canonical
    is_two = a.pk != b.pk
    suggestion = suggest_winner(a.pk, b.pk) if is_two else None
    winner_id = _winner(params, suggestion) if suggestion else a.pk
    loser_id = (b if winner_id == a.pk else a).pk
    views = profile_views([a, b]) if is_two else profile_views([a]) * 2
    views = [displayed_view(view, can_view_pii=can_view_pii) for view in views]
    following, before = queue.next_pair(wanted, pair), queue.previous_pair(wanted, pair)
    policy = DuplicatePolicy.current()
    may_merge = request.user.has_perm("profiles.merge_profile")
    is_open = is_two and pair.verdict in (DuplicatePair.Verdict.OPEN, DuplicatePair.Verdict.LATER)
    is_related = pair.tier == Tier.RELATED
    is_offered = is_open and may_merge and not is_related
    fields = field_rows(views, reasons)
    context = {
        "title": "Are these two one person?",
        "pair": pair,
        "sides": [_side(view, winner_id) for view in views],
        "fields": [row for row in fields if not row.is_equal],
        "equal_fields": [row for row in fields if row.is_equal],
        "weights": weight_rows(reasons, pair.score),
        "suggested_because": [reason.text for reason in reasons if reason.is_from_source],
        "text": pair_text(pair, policy),
        "percent": percent(pair, policy),
        "policy": policy,
        "through_url": card_url(pair.through_id) if pair.through_id else "",
        "state": state_of(pair),
        "winner_id": winner_id,
        "loser_id": loser_id,
        "suggestion": suggestion,
        "flip_url": query_of(params, winner=str(loser_id)),
        "next_url": review_url(wanted, _plain(params), following) if following else "",
        "previous_url": review_url(wanted, _plain(params), before) if before else "",
        "queue_url": queue_url() + query_of(_plain(params), tier=wanted.tier),
        "is_open": is_open,
        "is_related": is_related,
        "second_look": likelihood_of(a.pk, b.pk).second_look if is_offered else "",
        "decided": _decided(pair),
        "why_url": _why(pair),
        "may_decide": request.user.has_perm("profiles.change_duplicatepair"),
        "may_merge": may_merge,
        **frame(request),
    }
    return render(request, "duplicates/review.html", context, status=status)


def _plain(params: QueryDict) -> QueryDict:
    rest = params.copy()
    rest.pop("winner", None)
    return rest


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
