"""A filter → how many profiles match: counted where that is quick enough for a list, else estimated and marked “≈”."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Count as CountOf
from django.db.models import Q

from cdp.limits import Count, TooSlow, estimate, time_limit
from profiles.models import Profile
from profiles.search.filters import ProfileFilter

MILLISECONDS = 60
# Counting this many index entries takes some 40 ms.
COUNTED = 250_000
# A filter for which the planner expects more profiles is not counted either.
GUESSED = 50_000


@dataclass(frozen=True, slots=True)
class TypeCounts:
    """The profiles of a list by type. ``recognized`` and ``anonymous`` are None when only all is known."""

    all: Count
    recognized: Count | None = None
    anonymous: Count | None = None


def count_types(filters: ProfileFilter, *, is_filtered: bool) -> TypeCounts:
    """Counts over the filter, whatever type it asks for. At most two queries, limited in time."""
    if not is_filtered:
        return count_base()
    if not filters.form.is_valid():
        return TypeCounts(Count(0), Count(0), Count(0))
    if filters.search_result and filters.is_search_alone:
        # The search has found them all.
        hits = filters.search_result.by_root.values()
        recognized = sum(hit.is_recognized for hit in hits)
        return TypeCounts(Count(len(hits)), Count(recognized), Count(len(hits) - recognized))
    roots = filters.without_type()
    is_capped = bool(filters.search_result and filters.search_result.is_capped)
    # With the search's hits at hand the planner need not be asked how many there may be.
    hit_count = len(filters.search_result.by_root) if filters.search_result and not is_capped else 0
    guess = hit_count or estimate(roots)
    if guess > GUESSED or is_capped:
        return TypeCounts(Count(guess, is_exact=False))
    try:
        with time_limit(MILLISECONDS):
            counts: dict[str, Any] = roots.order_by().aggregate(
                recognized=CountOf("pk", filter=Q(is_recognized=True)),
                anonymous=CountOf("pk", filter=Q(is_recognized=False)),
            )
    except TooSlow:
        return TypeCounts(Count(guess, is_exact=False))
    recognized, anonymous = counts["recognized"], counts["anonymous"]
    return TypeCounts(Count(recognized + anonymous), Count(recognized), Count(anonymous))


def count_base() -> TypeCounts:
    """All live profiles: counted up to ``COUNTED``, above that as of the last vacuum.

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
    """Recognized and anonymous profiles by the statistics; 0 where there are none yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, reltuples::bigint FROM pg_class"
            " WHERE oid IN ('profile_recognized'::regclass, 'profile_anonymous'::regclass)"
        )
        sizes = {name: max(0, rows) for name, rows in cursor.fetchall()}
    return sizes["profile_recognized"], sizes["profile_anonymous"]


def _estimated(recognized: int, anonymous: int) -> TypeCounts:
    """To three digits; more would pretend to know."""
    recognized_about, anonymous_about = _rounded(recognized), _rounded(anonymous)
    return TypeCounts(
        Count(_rounded(recognized + anonymous), is_exact=False),
        Count(recognized_about, is_exact=False),
        Count(anonymous_about, is_exact=False),
    )


def _rounded(number: int) -> int:
    scale = 10 ** max(0, len(str(number)) - 3)
    return int(round(number / scale) * scale)
