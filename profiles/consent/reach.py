"""The people a list's filter matches → how many of them may be e-mailed, and why the others may not."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Case, Value, When
from django.db.models import Count as CountOf

from cdp.limits import Count, TooSlow, time_limit
from profiles.consent.reachable import consenting_ids
from profiles.models import Consent
from profiles.search.filters import ProfileFilter

MILLISECONDS = 150
# Of more people than this the consents are not read for a list.
COUNTED = 20_000
CHANNEL = "email"


@dataclass(frozen=True, slots=True)
class Reach:
    """Everybody once: ``reachable`` have an address and a consent that counts for it, to whatever purpose.

    Somebody who agreed, and whose address somebody else said no about, is among the ``withdrawn``.
    """

    reachable: int = 0
    withdrawn: int = 0
    undecided: int = 0
    no_address: int = 0


def reach_of(filters: ProfileFilter, count: Count) -> Reach | None:
    """The reach of the people that ``count`` counted; None where it would take too long. One query."""
    if not count.number or not count.is_exact or count.number > COUNTED:
        return None
    people = filters.qs.order_by()
    decisions = Consent.objects.filter(channel=CHANNEL, profile__canonical__in=people.values("pk"))
    group = Case(
        When(email__isnull=True, then=Value("no_address")),
        When(pk__in=consenting_ids(CHANNEL, among=people.values("pk")), then=Value("reachable")),
        When(pk__in=decisions.values("profile__canonical_id"), then=Value("withdrawn")),
        default=Value("undecided"),
    )
    try:
        with time_limit(MILLISECONDS):
            groups = people.annotate(group=group).values("group").annotate(people=CountOf("pk"))
            counts = dict(groups.values_list("group", "people"))
    except TooSlow:
        return None
    return Reach(**counts)
