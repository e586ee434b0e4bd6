"""Merges → their history, newest first, filtered by profile, time and state."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from cdp.actors import Actor
from cdp.errors import NotFound
from cdp.ids import row_id
from profiles.admin.merge_rows import counted
from profiles.admin.staff_views import may_see, render, staff_view
from profiles.identity.lookup import find_visible, may_open
from profiles.masking import displayed
from profiles.models import Merge

HISTORY = 50


@staff_view("profiles.view_profile", "profiles.view_merge")
def history(request: HttpRequest) -> HttpResponse:
    """Every merge, newest first."""
    merges = Merge.objects.select_related("winner__canonical", "loser", "user", "key", "source", "undone_by")
    actor = Actor.of_request(request)
    merges, problems = _narrowed(merges, request.GET, actor)
    after, before = _key(request, "after"), _key(request, "before")
    if before is not None:
        rows = list(merges.filter(pk__gt=before).order_by("pk")[: HISTORY + 1])
        has_newer, has_older = len(rows) > HISTORY, True
        rows = rows[:HISTORY][::-1]
    else:
        rows = list((merges if after is None else merges.filter(pk__lt=after)).order_by("-pk")[: HISTORY + 1])
        has_newer, has_older = after is not None, len(rows) > HISTORY
        rows = rows[:HISTORY]
    can_view_pii = may_see(request)
    for merge in rows:
        # Of deleted people, who may not see them sees no name.
        is_plain = can_view_pii and may_open(actor, merge.winner.canonical)
        merge.display_winner = displayed(merge.winner, can_view_pii=is_plain)
        merge.display_loser = displayed(merge.loser, can_view_pii=is_plain)
        merge.counted = counted(merge.moved)
    context = {
        "title": "Merge history",
        "rows": rows,
        "params": request.GET,
        "problems": problems,
        "newer_url": _page_url(request, before=rows[0].pk) if rows and has_newer else "",
        "older_url": _page_url(request, after=rows[-1].pk) if rows and has_older else "",
        "is_filtered": any(request.GET.get(name) for name in ("profile", "since", "state")),
        "may_unmerge": request.user.has_perm("profiles.unmerge_profile"),
    }
    return render(request, "merge_history.html", context)


def _narrowed(merges: Any, params: QueryDict, actor: Actor) -> tuple[Any, list[str]]:
    problems = []
    if ref := params.get("profile", "").strip():
        try:
            root = find_visible(ref, actor=actor).root
        except NotFound as refusal:
            return merges.none(), [refusal.message]
        # Both sides: after an undo the loser is a profile of its own again.
        of_root = Q(winner__canonical_id=root.pk) | Q(loser__canonical_id=root.pk)
        merges = merges.filter(of_root | Q(winner_id=root.pk) | Q(loser_id=root.pk))
    if since := params.get("since", "").strip():
        moment = _since(since)
        if moment is None:
            problems.append(f"“{since[:40]}” is not a date. Write it like 2026-03-01.")
        else:
            merges = merges.filter(created_at__gte=moment)
    if params.get("state") in ("active", "undone"):
        merges = merges.filter(undone_at__isnull=params["state"] == "active")
    return merges, problems


def _since(text: str) -> Any:
    try:
        moment = parse_datetime(text if not parse_date(text) else f"{text}T00:00")
    except ValueError:
        return None
    return moment if moment is None or timezone.is_aware(moment) else timezone.make_aware(moment)


def _key(request: HttpRequest, name: str) -> int | None:
    return row_id(request.GET.get(name)) or None


def _page_url(request: HttpRequest, **position: int) -> str:
    params = request.GET.copy()
    for name in ("after", "before"):
        params.pop(name, None)
    params.update({name: str(pk) for name, pk in position.items()})
    return f"?{params.urlencode()}"
