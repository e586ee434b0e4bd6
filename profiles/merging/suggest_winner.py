"""Two profiles → which of them should survive a merge."""

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
    """The profile with a valid e-mail, else the recognized one, else the one active first. One query.

    Ids merged away stand for their surviving profiles. Raises NotFound.
    """
    rows = {
        row.pk: row.canonical
        for row in Profile.objects.filter(pk__in=[a_id, b_id]).select_related("canonical")
    }
    for profile_id in (a_id, b_id):
        if profile_id not in rows:
            raise NotFound(f"No profile “{profile_id}”.")
    return better_of(rows[a_id], rows[b_id])


def better_of(a: Profile, b: Profile) -> Suggestion:
    """The same of two loaded profiles. Pure."""
    winner, loser = sorted((a, b), key=rank)
    for position, reason in enumerate(
        ("it has a valid e-mail", "it is a recognized person", "it was active first")
    ):
        if rank(winner)[position] != rank(loser)[position]:
            return Suggestion(winner.pk, loser.pk, reason)
    return Suggestion(winner.pk, loser.pk, "it was added first")


def suggest_winners(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """``(winner, loser)`` of many pairs, as ids of their surviving profiles, in their order. One query.

    A pair with an unknown id stays as it is: the merge says why it is refused.
    """
    ids = {pk for pair in pairs for pk in pair}
    columns = (
        "canonical__email",
        "canonical__is_recognized",
        "canonical__first_seen_at",
        "canonical__created_at",
    )
    profiles = Profile.objects.select_related("canonical").only("canonical_id", *columns).in_bulk(ids)
    chosen = []
    for a_id, b_id in pairs:
        if a_id in profiles and b_id in profiles:
            best = better_of(profiles[a_id].canonical, profiles[b_id].canonical)
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
