"""One person → the panels about who else they may be: likely duplicates, merges so far, the record itself."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Q

from profiles.admin.card_panels import CardContext, CardPanel, panels
from profiles.admin.card_rows import Suggestion
from profiles.duplicates.review.explain import explain
from profiles.duplicates.review.pair_text import pair_text
from profiles.duplicates.review.queue import with_profiles
from profiles.masking import displayed
from profiles.models import DuplicatePair, DuplicatePolicy, Merge, Profile, Tier

SUGGESTIONS = 5


def _duplicates(card: CardContext) -> dict[str, Any]:
    return {"suggestions": suggestions_of(card.root, card.can_view_pii)}


def suggestions_of(root: Profile, can_view_pii: bool) -> list[Suggestion]:
    """Profiles that may be the same person, the likeliest first; households are left out. Two queries."""
    of_root = Q(a__canonical_id=root.pk) | Q(b__canonical_id=root.pk)
    pairs = (
        with_profiles(DuplicatePair.objects.all())
        .filter(of_root, verdict__in=[DuplicatePair.Verdict.OPEN, DuplicatePair.Verdict.LATER])
        .exclude(a__canonical_id=F("b__canonical_id"))
        .exclude(tier=Tier.RELATED)
        .order_by("-score", "-id")
    )
    policy = DuplicatePolicy.current()
    suggestions: dict[int, Suggestion] = {}
    for pair in pairs[: SUGGESTIONS * 4]:
        if len(suggestions) == SUGGESTIONS:
            break
        match = pair.b.canonical if pair.a.canonical_id == root.pk else pair.a.canonical
        if match.status == Profile.Status.LIVE and match.pk not in suggestions:
            profile = displayed(match, can_view_pii=can_view_pii)
            reasons = _reasons(pair, can_view_pii)
            suggestions[match.pk] = Suggestion(pair, profile, reasons, pair_text(pair, policy))
    return list(suggestions.values())


def _reasons(pair: DuplicatePair, can_view_pii: bool) -> list[str]:
    """Why the two may be one person, the weightiest first."""
    reasons = sorted(
        explain(pair, can_view_pii=can_view_pii),
        key=lambda reason: (not (reason.is_from_source or reason.is_transitive), -abs(reason.weight)),
    )
    texts = [
        reason.text if can_view_pii or not reason.is_from_source else f"{reason.text} {reason.a}".strip()
        for reason in reasons
        if reason.is_from_source or reason.is_transitive or (reason.field and reason.weight)
    ]
    return [text for text in texts if text]


def _lineage(card: CardContext) -> dict[str, Any]:
    """The merges this profile is made of, newest first. One query."""
    merges = Merge.objects.active().filter(loser__canonical_id=card.root.pk)
    rows = merges.select_related("user", "key", "source").order_by("-created_at", "-pk")
    return {"lineage": list(rows[:50])}


panels.register(
    "duplicates", CardPanel("duplicates", "admin/profiles/card_duplicates.html", _duplicates), order=10
)
panels.register("lineage", CardPanel("duplicates", "admin/profiles/card_lineage.html", _lineage), order=20)
# Ids and times, which the card itself gives.
panels.register(
    "record", CardPanel("duplicates", "admin/profiles/card_record.html", lambda card: {}), order=30
)
