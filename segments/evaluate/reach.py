"""The members of a segment → how many of them can be written to on a channel, and why the others cannot. Everybody counts once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Value, When

from profiles.consent.lists import consent_lists
from profiles.consent.reachable import consenting_ids
from profiles.models import DuplicatePair, Profile
from profiles.models.duplicate import Tier

# Code → what it says, in the order in which they are asked: the first that holds counts.
GROUPS = {
    "reachable": "Reachable",
    "no_consent": "No consent, or somebody with the same address said no",
    "anonymous": "Anonymous: no address yet",
    "likely_duplicate": "No address, and likely the same person as another profile",
    "no_address": "No address",
}
_COLUMNS = {"email": "email", "phone": "phone"}
_LIKELY = (Tier.CERTAIN, Tier.PROBABLE)


@dataclass(frozen=True, slots=True)
class ReachGroup:
    code: str
    text: str
    people: int


def reach_of(members: QuerySet[Profile], channel: str, purpose: str = "") -> list[ReachGroup]:
    """All five groups; their numbers add up to the members. ``channel`` and ``purpose`` are names of the lists, and of any
    purpose where none is given. Who has no address has none for this channel. One query.
    """
    column = _COLUMNS.get(consent_lists().contact_of(channel), "")
    has_address = ~Q(**{f"{column}__isnull": True}) & ~Q(**{column: ""}) if column else Q(pk__isnull=False)
    consenting: Any = consenting_ids(
        channel, purpose, with_address=bool(column), among=members.order_by().values("pk")
    )
    pairs = DuplicatePair.objects.filter(verdict=DuplicatePair.Verdict.OPEN, tier__in=_LIKELY)
    group = Case(
        When(pk__in=consenting, then=Value("reachable")),
        When(has_address, then=Value("no_consent")),
        When(is_recognized=False, then=Value("anonymous")),
        When(
            Exists(pairs.filter(a=OuterRef("pk"))) | Exists(pairs.filter(b=OuterRef("pk"))),
            then=Value("likely_duplicate"),
        ),
        default=Value("no_address"),
    )
    rows = members.order_by().annotate(group=group).values("group").annotate(people=Count("pk"))
    counts = dict(rows.values_list("group", "people"))
    return [ReachGroup(code, text, counts.get(code, 0)) for code, text in GROUPS.items()]
