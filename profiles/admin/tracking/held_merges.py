"""Waiting merges: one question per value ("store-tablet-1 was used by 7 people"), answered by staff.

Merging itself happens on the merge preview page alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html

from cdp.actors import Actor
from cdp.errors import Invalid, NotFound
from cdp.ids import row_id, row_ids
from cdp.plurals import counted
from profiles.admin.list_filters import without
from profiles.admin.staff_views import back, may_see, render, staff_view, write
from profiles.masking import displayed, mask_identifier
from profiles.models import HeldMerge, IdentifierType, Profile, Source
from profiles.tracking.pending.decide_held import (
    BLOCK,
    DISMISS,
    SHARED,
    HeldMergeDecisions,
    decide_held_merge,
    decide_held_merges,
)
from profiles.tracking.pending.held_merges import (
    ALL,
    DECIDED,
    OPEN,
    WaitingCase,
    cases,
    explain_held_merge,
    list_held_merges,
)
from profiles.tracking.pending.reopen_held import MergedAnyway, reopen_held_merge

PAGE = 20
STATES = {OPEN: "To decide", DECIDED: "Decided", ALL: "All"}
# Merging is not among them: it goes through the merge preview.
DECISIONS = (SHARED, BLOCK, DISMISS)
_CURSORS = ("after", "before")
_TYPICAL = "That is usual for a shop's tablet, a family's computer or a made-up value, not for one person."


@dataclass(frozen=True, slots=True)
class Candidate:
    """A profile that waits to be merged into the one the value belongs to, both as they may be displayed."""

    profile: Profile
    owner: Profile
    is_merged: bool


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case ready to display. ``merge_id`` is of the merge a decision made, if it stands."""

    case: WaitingCase
    newest: HeldMerge
    title: str
    explanation: str
    candidates: list[Candidate]
    is_open: bool
    is_soft: bool
    merge_id: int | None

    @property
    def more(self) -> int:
        return self.case.merges - len(self.candidates)

    @property
    def owner(self) -> Profile | None:
        """Whom the value belongs to, when that is the same profile for all."""
        owners = {candidate.owner.pk: candidate.owner for candidate in self.candidates}
        return next(iter(owners.values())) if len(owners) == 1 else None

    @property
    def is_merged(self) -> bool:
        """Taken back by undoing the merge, not here."""
        return self.newest.state == HeldMerge.State.MERGED and self.candidates[0].is_merged


def list_url() -> str:
    return reverse("admin:profiles_heldmerge_changelist")


@staff_view("profiles.view_heldmerge")
def inbox(request: HttpRequest) -> HttpResponse:
    """Cases newest first, by state and source. Three queries."""
    params = request.GET
    problems: list[str] = []
    rows: list[WaitingCase] = []
    newer = older = ""
    try:
        rows, newer, older = _page(params)
    except Invalid as error:
        problems = [problem["message"] for problem in error.problems]
    state = params.get("state", OPEN)
    may_decide = request.user.has_perm("profiles.change_heldmerge")
    context = {
        "title": "Waiting merges",
        "rows": [_row(row, can_view_pii=may_see(request)) for row in rows],
        "states": [(label, _url(params, state=key), key == state) for key, label in STATES.items()],
        "sources": list(Source.objects.values_list("name", flat=True)),
        "params": params,
        "state": state,
        "problems": problems,
        "newer_url": newer,
        "older_url": older,
        "may_decide": may_decide,
        "may_merge": request.user.has_perm("profiles.merge_profile"),
        "may_tick": may_decide and len(rows) > 1 and state == OPEN,
        "may_unmerge": request.user.has_perm("profiles.unmerge_profile"),
    }
    return render(request, "tracking/held.html", context)


def _page(params: QueryDict) -> tuple[list[WaitingCase], str, str]:
    """A page of cases, with the addresses of the pages around it. Two queries."""
    waiting = list_held_merges(state=params.get("state", OPEN), source=params.get("source", ""))
    after, before = row_id(params.get("after")), row_id(params.get("before"))
    rows = cases(waiting, after=after, before=before, limit=PAGE + 1)
    has_more = len(rows) > PAGE
    rows = rows[-PAGE:] if before else rows[:PAGE]
    if not rows:
        return [], "", ""
    has_newer, has_older = (has_more, True) if before else (bool(after), has_more)
    return (
        rows,
        _url(params, before=str(rows[0].newest_id)) if has_newer else "",
        _url(params, after=str(rows[-1].newest_id)) if has_older else "",
    )


def _url(params: QueryDict, **changes: str) -> str:
    plain = without(params, *_CURSORS, *changes)
    for name, value in changes.items():
        plain[name] = value
    return f"?{plain.urlencode()}"


def _row(case: WaitingCase, *, can_view_pii: bool) -> CaseRow:
    newest = case.rows[0]
    value = newest.value if can_view_pii else mask_identifier(newest.type.name, newest.value)
    return CaseRow(
        case=case,
        newest=newest,
        title=_title(case, value),
        explanation=_TYPICAL if case.people else explain_held_merge(newest, ""),
        candidates=[_candidate(row, can_view_pii) for row in case.rows],
        is_open=newest.state == HeldMerge.State.OPEN,
        is_soft=newest.type.strength == IdentifierType.Strength.SOFT,
        merge_id=(newest.effects or {}).get("merge"),
    )


def _title(case: WaitingCase, value: str) -> str:
    if case.people:
        return f"{value} was used by {counted(case.people, 'people')}"
    return f"{value} would merge {counted(case.merges + 1, 'people')}"


def _candidate(held_merge: HeldMerge, can_view_pii: bool) -> Candidate:
    profile, owner = held_merge.profile.canonical, held_merge.other.canonical
    return Candidate(
        displayed(profile, can_view_pii=can_view_pii),
        displayed(owner, can_view_pii=can_view_pii),
        profile.pk == owner.pk,
    )


@write("profiles.view_heldmerge", "profiles.change_heldmerge")
def decide(request: HttpRequest) -> HttpResponse:
    """Answer one case (its own button, ``block:17`` with the id of any of its rows) or those ticked."""
    action, _, case_id = request.POST.get("do", "").partition(":")
    if action not in DECISIONS:
        raise Invalid([{"field": "do", "value": action, "message": "Choose what to do with the cases."}])
    target = back(request) or list_url()
    case_ids = [row_id(case_id)] if case_id else row_ids(request.POST.getlist("ids"))[:PAGE]
    if not case_ids:
        raise Invalid([{"field": "ids", "value": None, "message": "Tick at least one case first."}])
    actor = Actor.of_request(request)
    if case_id and action != DISMISS:
        done = decide_held_merge(held_merge_id=case_ids[0], decision=action, actor=actor)
        text = done.message if may_see(request) else "Decided."
        messages.success(request, f"{text} {_waited(len(done.decided))}")
        return redirect(target)
    answered = _decide_cases(case_ids, action, actor)
    for problem in answered.problems:
        messages.error(request, problem)
    if answered.decided:
        messages.success(request, f"Decided. {_waited(len(answered.decided))}")
    return redirect(target)


def _decide_cases(case_ids: list[int], action: str, actor: Actor) -> HeldMergeDecisions:
    """Every open merge of these cases' values. Raises NotFound for one case that is not there."""
    chosen = list(HeldMerge.objects.filter(pk__in=case_ids).values_list("type_id", "value"))
    if not chosen:
        raise NotFound(f"There is no waiting merge {case_ids[0]}.")
    held_merge_ids: list[int] = []
    for type_id, value in dict.fromkeys(chosen):
        rows = HeldMerge.objects.filter(type_id=type_id, value=value, state=HeldMerge.State.OPEN)
        held_merge_ids += rows.order_by("pk").values_list("pk", flat=True)
    return decide_held_merges(held_merge_ids=held_merge_ids, decision=action, actor=actor)


def _waited(count: int) -> str:
    return f"{counted(count, 'merges')} waited for this; nobody was merged."


@write("profiles.view_heldmerge", "profiles.change_heldmerge")
def reopen(request: HttpRequest, heldmerge_id: int) -> HttpResponse:
    """Take a decision back; of a merge, the way to its undo."""
    target = back(request) or list_url()
    try:
        done = reopen_held_merge(held_merge_id=heldmerge_id, actor=Actor.of_request(request))
    except MergedAnyway as refusal:
        messages.error(request, _with_undo(request, refusal))
        return redirect(target)
    is_plain = may_see(request) or done.was in (HeldMerge.State.MERGED, HeldMerge.State.DISMISSED)
    more = len(done.reopened) - 1
    also = (
        f" {more:,} more with the same decision {'waits' if more == 1 else 'wait'} again as well."
        if more > 0
        else ""
    )
    messages.success(request, (done.message if is_plain else "The merge waits again.") + also)
    return redirect(target)


def _with_undo(request: HttpRequest, refusal: MergedAnyway) -> str:
    if refusal.merge_id is None or not request.user.has_perm("profiles.unmerge_profile"):
        return refusal.message
    url = reverse("admin:profiles_merge_undo", args=[refusal.merge_id])
    return format_html('{} <a href="{}">Undo merge {}</a>', refusal.message, url, str(refusal.merge_id))
