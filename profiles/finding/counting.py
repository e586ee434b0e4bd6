"""How many people: exact when it can be counted in the time a list has, else estimated and marked “≈”."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Count as CountOf
from django.db.models import Q

from cdp.limits import Count, TooSlow, estimate, time_limit
from profiles.finding.filters import ProfileFilter
from profiles.models import Profile

MILLISECONDS = 60
# Counting this many index entries takes some 40 ms.
COUNTED = 250_000
# A filter the planner expects more people of is not counted either.
GUESSED = 50_000


@dataclass(frozen=True, slots=True)
class TypeCounts:
    """The people of a list by type (I4). ``recognized`` and ``anonymous`` are None when only all is known."""

    all: Count
    recognized: Count | None = None
    anonymous: Count | None = None


def count_types(filters: ProfileFilter, *, is_filtered: bool) -> TypeCounts:
    """Counts over the filter, whatever type it asks for. At most two queries, limited in time."""
    if not is_filtered:
        return count_base()
    if not filters.form.is_valid():
        return TypeCounts(Count(0), Count(0), Count(0))
    if filters.found and filters.is_search_alone:
        # The search has seen them all.
        hits = filters.found.by_root.values()
        known = sum(hit.is_recognized for hit in hits)
        return TypeCounts(Count(len(hits)), Count(known), Count(len(hits) - known))
    roots = filters.without_type()
    is_crowd = bool(filters.found and filters.found.is_capped)
    # With the people found at hand the planner need not be asked how many they may be.
    found_ones = len(filters.found.by_root) if filters.found and not is_crowd else 0
    guess = found_ones or estimate(roots)
    if guess > GUESSED or is_crowd:
        return TypeCounts(Count(guess, is_exact=False))
    try:
        with time_limit(MILLISECONDS):
            found: dict[str, Any] = roots.order_by().aggregate(
                recognized=CountOf("pk", filter=Q(is_recognized=True)),
                anonymous=CountOf("pk", filter=Q(is_recognized=False)),
            )
    except TooSlow:
        return TypeCounts(Count(guess, is_exact=False))
    recognized, anonymous = found["recognized"], found["anonymous"]
    return TypeCounts(Count(recognized + anonymous), Count(recognized), Count(anonymous))


def count_base() -> TypeCounts:
    """Everybody who is live: counted up to ``COUNTED`` people, above that as the last vacuum saw them.

    Two partial indexes are what is counted. A count that is going to be too slow is not even tried: the
    list would pay for the trial every time.
    """
    sizes = _sizes()
    if sum(sizes) > COUNTED:
        return _estimated(*sizes)
    live = Profile.objects.live().order_by()
    try:
        with time_limit(MILLISECONDS * 5):
            recognized, anonymous = live.recognized().count(), live.anonymous().count()
    except TooSlow:
        return _estimated(*sizes)
    return TypeCounts(Count(recognized + anonymous), Count(recognized), Count(anonymous))


def _sizes() -> tuple[int, int]:
    """Recognized and anonymous people by the statistics; 0 where there are none yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, reltuples::bigint FROM pg_class"
            " WHERE oid IN ('profile_recognized'::regclass, 'profile_anonymous'::regclass)"
        )
        sizes = {name: max(0, rows) for name, rows in cursor.fetchall()}
    return sizes["profile_recognized"], sizes["profile_anonymous"]


def _estimated(recognized: int, anonymous: int) -> TypeCounts:
    """To three digits; more would pretend to know."""
    known, unknown = _rounded(recognized), _rounded(anonymous)
    return TypeCounts(
        Count(_rounded(recognized + anonymous), is_exact=False),
        Count(known, is_exact=False),
        Count(unknown, is_exact=False),
    )


def _rounded(number: int) -> int:
    scale = 10 ** max(0, len(str(number)) - 3)
    return round(number / scale) * scale
