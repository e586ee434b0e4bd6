"""Yes or no → the people of the list with, or without, a suggested duplicate that nobody has decided yet."""

from __future__ import annotations

from django.db.models import F, Q

from profiles.models import DuplicatePair, Profile
from profiles.search.filters import YesNoFilter
from profiles.search.list_filters import ListFilter, Roots, yes_or_no


def _by_duplicates(roots: Roots, value: bool) -> Roots:
    """May be the same person as another profile: a suggestion nobody has decided yet."""
    open_pairs = DuplicatePair.objects.filter(
        verdict=DuplicatePair.Verdict.OPEN,
        a__canonical__status=Profile.Status.LIVE,
        b__canonical__status=Profile.Status.LIVE,
    ).exclude(a__canonical_id=F("b__canonical_id"))
    is_in_open_pair = Q(pk__in=open_pairs.values("a__canonical_id")) | Q(
        pk__in=open_pairs.values("b__canonical_id")
    )
    return roots.filter(is_in_open_pair if value else ~is_in_open_pair)


FILTER = ListFilter(
    label="Possible duplicates",
    filter_class=YesNoFilter,
    apply=_by_duplicates,
    sentence=yes_or_no,
    template="admin/profiles/filter_choice.html",
    description="May be the same person as somebody else; nobody has decided yet.",
    api_type=bool,
    choices=lambda: [("true", "Has some"), ("false", "Has none")],
    names_people=False,
)
