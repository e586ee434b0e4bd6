"""A segment and a person → why they are in it or not: each condition with what they have, and when time will change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from cdp.errors import Invalid, NotFound
from cdp.ids import row_id
from cdp.looks import saw
from profiles.admin.staff_views import may_see, staff_view
from profiles.identity.lookup import find_profile
from profiles.masked_text import DOTS
from profiles.masking import displayed, mask_note
from profiles.models import Profile
from profiles.search.search import search
from segments.admin.figures import cause_words
from segments.admin.frame import PEOPLE, VIEW, find_row, people, render, url
from segments.evaluate.explain import Explanation, explain
from segments.membership.of_profiles import pick_of
from segments.models import HandPick, Membership, Segment
from segments.rules.parse import parse_rule
from segments.vocabulary import Vocabulary

FOUND = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One condition, or the head of a group. ``actual`` is hidden from who does not see personal data."""

    depth: int
    text: str
    holds: bool
    is_head: bool
    actual: str = ""
    changes_at: Any = None


@staff_view(VIEW, PEOPLE)
def ask(request: HttpRequest) -> HttpResponse:
    """From a card: the segment is chosen there."""
    segment = find_row(row_id(request.GET.get("segment")) or 0)
    return redirect(f"{url('why', segment.pk)}?{urlencode({'person': request.GET.get('person', '')})}")


@staff_view(VIEW, PEOPLE)
def why(request: HttpRequest, segment_id: int) -> HttpResponse:
    """Search for somebody, then why they are in or out. A fixed number of queries."""
    segment = find_row(segment_id)
    q = request.GET.get("person", "").strip()
    context: dict[str, Any] = {"title": f"Who is in “{segment.name}”, and why", "segment": segment, "q": q}
    if q:
        root, found = _find(request, q)
        context |= {"found": found, "is_lost": root is None and not found}
        if root is not None:
            context |= _explained(request, segment, root)
    return render(request, "why.html", context)


def _find(request: HttpRequest, q: str) -> tuple[Profile | None, list[Profile]]:
    """The person meant, or those it may be."""
    try:
        return find_profile(q).root, []
    except NotFound:
        hits = search(q)
    exact = hits.exact_ids
    ids = exact or [hit.root_id for hit in hits.hits[:FOUND]]
    if len(ids) == 1:
        return find_profile(ids[0]).root, []
    return None, people(request, ids[:FOUND])


def _explained(request: HttpRequest, segment: Segment, root: Profile) -> dict[str, Any]:
    saw([root.pk])
    stay = Membership.objects.filter(segment=segment, profile=root, absorbed_by__isnull=True).first()
    pick = pick_of(segment.pk, root.pk)
    explanation, problem = None, ""
    if not segment.is_static:
        try:
            explanation = explain(parse_rule(segment.rules, Vocabulary()), root.pk)
        except Invalid as error:
            problem = error.message
    is_in = stay is not None and stay.left_at is None
    wanted = pick.is_in if pick else explanation.is_in if explanation else is_in
    return {
        "person": displayed(root, can_view_pii=may_see(request)),
        "root": root,
        "stay": stay,
        "cause": cause_words(stay.left_by or stay.entered_by) if stay else "",
        "pick": pick,
        "pick_reason": pick.reason if pick and (may_see(request) or not pick.reason) else _masked(pick),
        "is_in": is_in,
        "waits": wanted != is_in and segment.state == Segment.State.LIVE,
        "problem": problem,
        "explanation": explanation,
        "rows": _rows(explanation, can_view_pii=may_see(request)) if explanation else [],
        "kept_out_by": _failing(explanation) if explanation else [],
    }


def _masked(pick: HandPick | None) -> str:
    return mask_note(pick.reason) if pick else ""


def _rows(explanation: Explanation, *, can_view_pii: bool) -> list[Row]:
    rows = []
    for part in explanation.parts:
        finding = part.finding
        if finding is None:
            rows.append(Row(part.depth, part.text, part.holds, is_head=True))
            continue
        actual = finding.actual
        if actual and not can_view_pii and finding.is_personal:
            actual = DOTS
        rows.append(Row(part.depth, part.text, part.holds, False, actual, finding.changes_at))
    return rows


def _failing(explanation: Explanation) -> list[str]:
    """What is right below the outermost group and does not hold."""
    return [part.text for part in explanation.parts if part.depth == 1 and not part.holds]
