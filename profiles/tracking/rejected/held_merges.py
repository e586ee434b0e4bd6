"""The merges that the circuit breaker held for staff → a list of them, and why each was held, as a sentence."""

from __future__ import annotations

from django.db.models import F, Q, QuerySet

from cdp.errors import Invalid
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
        message = f"“{state}” is no state. Known states: {known}."
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
            f"{held_merge.source} had joined as many profiles as it may within an hour"
            f" ({held_merge.source.merges_per_hour:,}) when {what if value else what.lower()} was to join these two."
        )
    return (
        f"{what} came with {held_merge.people:,} people who are somebody else each."
        " That is usual for a shop's tablet, a family's computer or a value a program made up, not for one person."
    )
