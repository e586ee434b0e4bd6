"""Held joins: what traffic wanted to join and the circuit breaker held, for somebody to decide (I10)."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.ids import row_id, row_ids
from profiles.admin.door import back, door, may_see, render, write
from profiles.admin.list_filters import without
from profiles.masking import mask_identifier, mask_profile
from profiles.models import HeldMerge, IdentifierType, Profile, Source
from profiles.tracking.rejected.decide_held import (
    DISMISS,
    MERGE,
    STATES,
    decide_held_merge,
    decide_held_merges,
)
from profiles.tracking.rejected.held_merges import OPEN, explain_held_merge, list_held_merges
from profiles.tracking.rejected.held_merges import STATES as LISTS
from profiles.tracking.rejected.reopen_held import MergedAnyway, reopen_held_merge

PAGE = 50
_PLACING = ("after", "before")


@dataclass(frozen=True, slots=True)
class Row:
    """One join as the list shows it; ``is_one`` when the two are one person by now, ``merge_id`` of the decision."""

    held: HeldMerge
    value: str
    why: str
    who: Profile
    whom: Profile
    is_open: bool
    is_soft: bool
    is_one: bool
    merge_id: int | None

    @property
    def is_merged(self) -> bool:
        """One person, by “merge anyway”: taken back by undoing the merge."""
        return self.is_one and self.held.state == HeldMerge.State.MERGED


def list_url() -> str:
    return reverse("admin:profiles_heldmerge_changelist")


@door("profiles.view_heldmerge")
def inbox(request: HttpRequest) -> HttpResponse:
    """Open joins newest first, by state and source. Three queries."""
    params = request.GET
    problems: list[str] = []
    rows: list[HeldMerge] = []
    newer = older = ""
    try:
        rows, newer, older = _page(params)
    except Invalid as error:
        problems = [problem["message"] for problem in error.problems]
    state = params.get("state", OPEN)
    may_decide = request.user.has_perm("profiles.change_heldmerge")
    context = {
        "title": "Held joins",
        "rows": [_row(row, may_see(request)) for row in rows],
        "states": [(label, _url(params, state=key), key == state) for key, label in LISTS.items()],
        "sources": list(Source.objects.values_list("name", flat=True)),
        "params": params,
        "state": state,
        "problems": problems,
        "newer_url": newer,
        "older_url": older,
        "may_decide": may_decide,
        "may_merge": may_decide and request.user.has_perm("profiles.merge_profile"),
        "may_tick": may_decide and state == OPEN,
        "may_unmerge": request.user.has_perm("profiles.unmerge_profile"),
    }
    return render(request, "tracking/held.html", context)


def _page(params: QueryDict) -> tuple[list[HeldMerge], str, str]:
    """A page by id, with the addresses of those around it. One query."""
    found = list_held_merges(state=params.get("state", OPEN), source=params.get("source", ""))
    after, before = row_id(params.get("after")), row_id(params.get("before"))
    if before:
        rows = list(found.filter(pk__gt=before).order_by("pk")[: PAGE + 1])
        newer, older, rows = len(rows) > PAGE, True, rows[:PAGE][::-1]
    else:
        rows = list((found.filter(pk__lt=after) if after else found).order_by("-pk")[: PAGE + 1])
        newer, older, rows = bool(after), len(rows) > PAGE, rows[:PAGE]
    if not rows:
        return [], "", ""
    return (
        rows,
        _url(params, before=str(rows[0].pk)) if newer else "",
        _url(params, after=str(rows[-1].pk)) if older else "",
    )


def _url(params: QueryDict, **changes: str) -> str:
    plain = without(params, *_PLACING, *changes)
    for name, value in changes.items():
        plain[name] = value
    return f"?{plain.urlencode()}"


def _row(held: HeldMerge, sees: bool) -> Row:
    who, whom = held.profile.canonical, held.other.canonical
    return Row(
        held,
        held.value if sees else mask_identifier(held.type.name, held.value),
        explain_held_merge(held, ""),
        who if sees else mask_profile(who),
        whom if sees else mask_profile(whom),
        held.state == HeldMerge.State.OPEN,
        held.type.strength == IdentifierType.Strength.SOFT,
        who.pk == whom.pk,
        (held.effects or {}).get("merge"),
    )


@write("profiles.view_heldmerge", "profiles.change_heldmerge")
def decide(request: HttpRequest) -> HttpResponse:
    """One (a row's own button, ``block:17``) or those ticked. Merging needs the right to merge, too."""
    action, _, one = request.POST.get("do", "").partition(":")
    if action not in STATES:
        raise Invalid([{"field": "do", "value": action, "message": "Choose what to do with the joins."}])
    if action == MERGE and not request.user.has_perm("profiles.merge_profile"):
        raise PermissionDenied
    actor = Actor.of_request(request)
    target = back(request) or list_url()
    if one:
        done = decide_held_merge(held_merge_id=row_id(one), decision=action, actor=actor)
        more = len(done.decided) - 1
        also = (
            f" {more:,} more of the same value {'was' if more == 1 else 'were'} decided with it."
            if more > 0
            else ""
        )
        said = done.message if may_see(request) or action in (MERGE, DISMISS) else "Decided."
        messages.success(request, said + also)
        return redirect(target)
    ids = row_ids(request.POST.getlist("ids"))[:PAGE]
    if not ids:
        raise Invalid([{"field": "ids", "value": None, "message": "Tick at least one join first."}])
    many = decide_held_merges(held_merge_ids=ids, decision=action, actor=actor)
    for problem in many.problems:
        messages.error(request, problem)
    if many.decided:
        count = len(many.decided)
        messages.success(request, f"{count:,} join{'' if count == 1 else 's'} decided.")
    return redirect(target)


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
        f" {more:,} more of the same decision {'waits' if more == 1 else 'wait'} again, too."
        if more > 0
        else ""
    )
    messages.success(request, (done.message if is_plain else "The join waits again.") + also)
    return redirect(target)


def _with_undo(request: HttpRequest, refusal: MergedAnyway) -> str:
    if refusal.merge_id is None or not request.user.has_perm("profiles.unmerge_profile"):
        return refusal.message
    url = reverse("admin:profiles_merge_undo", args=[refusal.merge_id])
    return format_html('{} <a href="{}">Undo merge {}</a>', refusal.message, url, str(refusal.merge_id))
