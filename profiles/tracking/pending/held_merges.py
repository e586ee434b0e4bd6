"""The merges that the circuit breaker held for staff → lists and cases of them, and why each was held, as a sentence."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Case, Count, F, Max, Q, QuerySet, Sum, Value, When, Window
from django.db.models.functions import RowNumber

from cdp.errors import Invalid
from cdp.plurals import counted
from profiles.models import HeldMerge

OPEN, DECIDED, ALL = "open", "decided", "all"
STATES = {OPEN: "Open", DECIDED: "Decided", ALL: "All"}


def list_held_merges(*, state: str = OPEN, source: str = "") -> QuerySet[HeldMerge]:
    """The held merges of a state, newest first, with everything a row shows; Invalid for another state.

    ``state`` is open, decided, all or one of the model's; ``source`` a source's name or id.
    """
    rows = HeldMerge.objects.select_related(
        "type", "source", "user", "profile__canonical", "other__canonical"
    )
    if state == DECIDED:
        rows = rows.exclude(state=HeldMerge.State.OPEN)
    elif state in HeldMerge.State.values:
        rows = rows.filter(state=state)
    elif state != ALL:
        known = ", ".join([DECIDED, ALL, *HeldMerge.State.values])
        message = f"“{state}” is not a state. Known states: {known}."
        raise Invalid([{"field": "state", "value": state, "message": message}])
    if source:
        named = Q(source__name=source)
        if source.isascii() and source.isdigit() and len(source) < 10:
            named |= Q(source_id=int(source))
        rows = rows.filter(named)
    return rows.annotate(root_id=F("profile__canonical_id"), other_root_id=F("other__canonical_id"))


def explain_held_merge(held_merge: HeldMerge, value: str) -> str:
    """Why it was held, as a sentence; ``value`` masked or not, empty where it stands beside the sentence."""
    what = f"{held_merge.type} {value}" if value else f"This {str(held_merge.type).lower()}"
    if held_merge.reason == HeldMerge.Reason.RATE:
        return (
            f"{held_merge.source} had reached its limit of {counted(held_merge.source.merges_per_hour, 'automatic merges')} per hour"
            f" when {what if value else what.lower()} would have merged these two."
        )
    return (
        f"{what} was used by {counted(held_merge.people, 'different people')}."
        " That is usual for a shop's tablet, a family's computer or a made-up value, not for one person."
    )


# --- One question per value -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WaitingCase:
    """The waiting merges of one value, or those decided alike: one question for somebody to answer.

    ``newest_id`` is the newest row's id, ``merges`` how many two-person merges are in it, ``people`` how many
    people the value came with in all (0 when the source's hourly limit was the reason), ``asked`` how often it
    was asked for, ``rows`` the newest of its rows.
    """

    newest_id: int
    merges: int
    people: int
    asked: int
    last_at: datetime.datetime
    rows: list[HeldMerge]


def unanswered(rows: QuerySet[HeldMerge]) -> QuerySet[HeldMerge]:
    """Without the open ones whose two profiles were merged elsewhere meanwhile; they return if that is undone."""
    return rows.exclude(state=HeldMerge.State.OPEN, profile__canonical=F("other__canonical"))


def cases(
    rows: QuerySet[HeldMerge], *, after: int = 0, before: int = 0, limit: int = 20, per_case: int = 8
) -> list[WaitingCase]:
    """Cases of ``rows`` (as ``list_held_merges`` returns them), newest first. Two queries.

    ``after`` and ``before`` are a ``newest_id`` to go on from. Merges that were made are a case each.
    """
    rows = unanswered(rows).annotate(
        alone=Case(When(state=HeldMerge.State.MERGED, then=F("pk")), default=Value(0))
    )
    keys = ("type_id", "value", "state", "alone")
    groups = (
        rows.order_by()
        .values(*keys)
        .annotate(
            newest_id=Max("pk"),
            merges=Count("pk"),
            most_people=Max("people"),
            waiting=Count("profile__canonical", distinct=True),
            asked=Sum("count"),
            last=Max("last_at"),
        )
    )
    if before:
        chosen = list(groups.filter(newest_id__gt=before).order_by("newest_id")[:limit])[::-1]
    else:
        chosen = list(
            (groups.filter(newest_id__lt=after) if after else groups).order_by("-newest_id")[:limit]
        )
    by_key = _rows_by_key(rows, keys, {group["value"] for group in chosen}, per_case) if chosen else {}
    return [
        WaitingCase(
            group["newest_id"],
            group["merges"],
            # The value was counted with all but the last of these when it was stopped.
            group["most_people"] - 1 + group["waiting"] if group["most_people"] else 0,
            group["asked"],
            group["last"],
            by_key[tuple(group[key] for key in keys)],
        )
        for group in chosen
    ]


def _rows_by_key(
    rows: QuerySet[HeldMerge], keys: Sequence[str], values: set[str], per_case: int
) -> dict[tuple[object, ...], list[HeldMerge]]:
    position = Window(RowNumber(), partition_by=[F(key) for key in keys], order_by=F("pk").desc())
    by_key: dict[tuple[object, ...], list[HeldMerge]] = {}
    for row in (
        rows.filter(value__in=values)
        .annotate(position=position)
        .filter(position__lte=per_case)
        .order_by("-pk")
    ):
        by_key.setdefault(tuple(getattr(row, key) for key in keys), []).append(row)
    return by_key
