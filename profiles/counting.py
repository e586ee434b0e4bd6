"""How many people: exact when it can be counted in the time a list has, else estimated and marked “≈”."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Count as CountOf
from django.db.models import Q

from profiles.filters import ProfileFilter
from profiles.limits import Count, TooSlow, estimate, time_limit
from profiles.models import Profile

MILLISECONDS = 60


@dataclass(frozen=True, slots=True)
class TypeCounts:
    """The people of a list by type (I4). ``recognized`` and ``anonymous`` are None when only all is known."""

    all: Count
    recognized: Count | None = None
    anonymous: Count | None = None


def count_types(filters: ProfileFilter, *, is_filtered: bool) -> TypeCounts:
    """Counts over the filter, whatever type it asks for. One or two queries, limited in time."""
    if not is_filtered:
        return count_base()
    if not filters.form.is_valid():
        return TypeCounts(Count(0), Count(0), Count(0))
    roots = filters.without_type()
    try:
        with time_limit(MILLISECONDS):
            found: dict[str, Any] = roots.order_by().aggregate(
                recognized=CountOf("pk", filter=Q(is_recognized=True)),
                anonymous=CountOf("pk", filter=Q(is_recognized=False)),
            )
    except TooSlow:
        return TypeCounts(Count(estimate(roots), is_exact=False))
    recognized, anonymous = found["recognized"], found["anonymous"]
    return TypeCounts(Count(recognized + anonymous), Count(recognized), Count(anonymous))


def count_base() -> TypeCounts:
    """Everybody who is live. The partial indexes are what is counted; too many of them are estimated."""
    live = Profile.objects.live().order_by()
    try:
        with time_limit(MILLISECONDS):
            recognized, anonymous = live.recognized().count(), live.anonymous().count()
    except TooSlow:
        return _estimated()
    return TypeCounts(Count(recognized + anonymous), Count(recognized), Count(anonymous))


def _estimated() -> TypeCounts:
    """The sizes of the two partial indexes as the last vacuum saw them, to three digits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, reltuples::bigint FROM pg_class"
            " WHERE oid IN ('profile_recognized'::regclass, 'profile_anonymous'::regclass)"
        )
        sizes = {name: max(0, rows) for name, rows in cursor.fetchall()}
    recognized, anonymous = (_rounded(sizes[f"profile_{kind}"]) for kind in ("recognized", "anonymous"))
    return TypeCounts(
        Count(recognized + anonymous, is_exact=False),
        Count(recognized, is_exact=False),
        Count(anonymous, is_exact=False),
    )


def _rounded(number: int) -> int:
    scale = 10 ** max(0, len(str(number)) - 3)
    return round(number / scale) * scale
