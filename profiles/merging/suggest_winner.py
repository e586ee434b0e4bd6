"""Which of two profiles should survive (M1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from cdp.errors import NotFound
from profiles.identity.normalize import BadValue, normalizer
from profiles.models import Profile


@dataclass(frozen=True, slots=True)
class Suggestion:
    """``reason`` completes "#1 is suggested as the winner: …"."""

    winner_id: int
    loser_id: int
    reason: str


def suggest_winner(a_id: int, b_id: int) -> Suggestion:
    """The one with a valid e-mail, then the recognized one, then the one active first. One query.

    Ids merged away stand for their surviving profiles. Raises NotFound.
    """
    rows = {
        row.pk: row.canonical
        for row in Profile.objects.filter(pk__in=[a_id, b_id]).select_related("canonical")
    }
    for wanted in (a_id, b_id):
        if wanted not in rows:
            raise NotFound(f"No profile “{wanted}”.")
    return better_of(rows[a_id], rows[b_id])


def better_of(a: Profile, b: Profile) -> Suggestion:
    """The same of two loaded profiles. Pure."""
    winner, loser = sorted((a, b), key=rank)
    for place, reason in enumerate(
        ("it has a valid e-mail", "it is a recognized person", "it was active first")
    ):
        if rank(winner)[place] != rank(loser)[place]:
            return Suggestion(winner.pk, loser.pk, reason)
    return Suggestion(winner.pk, loser.pk, "it was here first")


def suggest_winners(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """``(winner, loser)`` of many pairs, as ids of their surviving profiles, in their order. One query.

    A pair of whom one is gone stays as it is: whoever merges it says why it cannot be.
    """
    ids = {one for pair in pairs for one in pair}
    told = (
        "canonical__email",
        "canonical__is_recognized",
        "canonical__first_seen_at",
        "canonical__created_at",
    )
    people = Profile.objects.select_related("canonical").only("canonical_id", *told).in_bulk(ids)
    chosen = []
    for a_id, b_id in pairs:
        if a_id in people and b_id in people:
            best = better_of(people[a_id].canonical, people[b_id].canonical)
            chosen.append((best.winner_id, best.loser_id))
        else:
            chosen.append((a_id, b_id))
    return chosen


def rank(profile: Profile) -> tuple[bool, bool, float, int]:
    first_active = profile.first_seen_at or profile.created_at or timezone.now()
    return (not _has_valid_email(profile), not profile.is_recognized, first_active.timestamp(), profile.pk)


def _has_valid_email(profile: Profile) -> bool:
    if not profile.email:
        return False
    try:
        normalizer("email")(profile.email)
    except BadValue:
        return False
    return True
