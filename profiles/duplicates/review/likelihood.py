"""Any two profiles → how likely they are one person, and why: what a reviewer reads above the preview of a merge.

The stored pair where there is one, so that every page says the same; else the two are compared as a change compares them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction

from profiles.duplicates.finding.incremental import ScoredPair, compare_two
from profiles.duplicates.review.explain import Reason, explain, probability
from profiles.duplicates.review.pair_text import pair_text
from profiles.duplicates.review.queue import with_profiles
from profiles.merging.preview_sections import Compare, PreviewSection, sections
from profiles.models import DuplicatePair, DuplicatePolicy, Profile
from profiles.pairs import verdicts
from profiles.pairs.vetoes import veto_text

# Less likely than this, a merge asks for a second look; and so does whatever speaks for two people.
UNLIKELY = 0.5
# What two profiles that nothing is known of are: browsers, mostly.
NOTHING_TO_COMPARE = "Nothing to compare: too little is known of one of them."


DECIDED = "Somebody decided that they are not duplicates."
UNLIKE = "Their names or birth dates differ, and they have too little else in common for one person."
_OF_A_PERSON = ("first_name", "last_name", "birth_date")


@dataclass(frozen=True, slots=True)
class LikelihoodReason:
    """One thing that speaks for one person (``weight`` above 0) or for two."""

    text: str
    weight: float
    tone: str


@dataclass(frozen=True, slots=True)
class Likelihood:
    """``answer`` in words, ``detail`` what the number says and why, ``probability`` None where nothing was measured.

    ``second_look``: why somebody should look again before a merge, as a sentence; "" where nothing speaks against it.
    Holds no personal data.
    """

    answer: str
    detail: str
    tier: str
    probability: float | None
    reasons: list[LikelihoodReason]
    second_look: str


@transaction.atomic
def likelihood_of(a_id: int, b_id: int) -> Likelihood:
    """Of two surviving profiles. A fixed number of queries."""
    pair = _stored_pair(a_id, b_id) or _compared_pair(a_id, b_id)
    objection = verdicts.objection(a_id, b_id)
    if pair is None:
        return Likelihood(NOTHING_TO_COMPARE, "", "", None, [], DECIDED if objection else "")
    policy = DuplicatePolicy.current()
    text, share = pair_text(pair, policy), probability(pair.score, policy)
    explained = [reason for reason in explain(pair, can_view_pii=False) if not reason.is_from_source]
    explained.sort(key=lambda reason: -abs(reason.weight))
    second_look = DECIDED if objection else _second_look(pair, share, explained)
    reasons = [LikelihoodReason(reason.text, round(reason.weight, 2), reason.tone) for reason in explained]
    # Where the number would mislead, as of a household, the sentence has none.
    measured = round(share, 4) if text.share else None
    detail = "" if text.rule == second_look else text.detail
    return Likelihood(text.answer, detail, pair.tier, measured, reasons, second_look)


def _second_look(pair: DuplicatePair, share: float, reasons: list[Reason]) -> str:
    """A veto, or a name or birth date that differs in a pair that is more likely two people."""
    if pair.veto:
        return veto_text(pair.veto)
    differs = any(reason.field in _OF_A_PERSON and reason.tone == "bad" for reason in reasons)
    return UNLIKE if pair.evidence and share < UNLIKELY and differs else ""


def _stored_pair(a_id: int, b_id: int) -> DuplicatePair | None:
    """What the comparison found between the two themselves, the pages' own number."""
    pairs = with_profiles(DuplicatePair.objects.filter(a=min(a_id, b_id), b=max(a_id, b_id)))
    return pairs.exclude(evidence=[]).first()


def _compared_pair(a_id: int, b_id: int) -> DuplicatePair | None:
    """The same for two that no search suggested; not stored."""
    scored = compare_two(a_id, b_id)
    return None if scored is None else _as_pair(scored)


def _as_pair(scored: ScoredPair) -> DuplicatePair:
    profiles = Profile.objects.defer("search").in_bulk([scored.a, scored.b])
    return DuplicatePair(
        a=profiles[scored.a],
        b=profiles[scored.b],
        tier=scored.classified.tier,
        score=scored.score,
        rule=scored.classified.rule,
        veto=scored.classified.veto,
        evidence=scored.stored_evidence,
        reasons=[],
    )


# --- In the preview of a merge ------------------------------------------------------------------------------


def _read(winner_id: int, loser_id: int) -> Compare:
    data: dict[str, Any] = asdict(likelihood_of(winner_id, loser_id))
    return lambda result: data


def warnings_of(data: dict[str, Any]) -> list[str]:
    """For callers of the API, where nobody ticks anything; the pages say it above the merge."""
    # Who decided against it is among the warnings already.
    if data["second_look"] in ("", DECIDED):
        return []
    return [f"{data['answer']}. {data['second_look']} Look again before you merge them."]


def register() -> None:
    sections.register(
        "likelihood",
        PreviewSection(_read, "admin/profiles/merge_likelihood.html", "top", warnings=warnings_of),
    )
