"""Decided pairs of this base → the calibration from score to probability, stored in the policy. Runs once a
day.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from profiles.duplicates.scoring.calibration import Calibration, fit
from profiles.duplicates.scoring.model import shipped
from profiles.models import DuplicatePair, DuplicatePolicy, Merge

# Only the newest: bases change, and so do reviewers.
MAX_DECISIONS = 20_000
_UNFITTED = Calibration(1.0, 0.0, 0)


@transaction.atomic
def refit() -> Calibration | None:
    """The new calibration; None where it did not change. Decisions about scores of another model do not
    count.

    Too few decisions restore the shipped calibration.
    """
    calibration = fit(_decided()) or _UNFITTED
    DuplicatePolicy.objects.get_or_create(pk=1)
    policy = DuplicatePolicy.objects.select_for_update().get(pk=1)
    if calibration == Calibration(
        policy.calibration_slope, policy.calibration_offset, policy.calibration_decisions
    ):
        return None
    policy.calibration_slope, policy.calibration_offset, policy.calibration_decisions = (
        calibration.slope,
        calibration.offset,
        calibration.decisions,
    )
    policy.fitted_at = timezone.now()
    policy.save(
        update_fields=["calibration_slope", "calibration_offset", "calibration_decisions", "fitted_at"]
    )
    audit.record(
        "duplicate.calibrate",
        actor=Actor.system(),
        detail={"slope": calibration.slope, "offset": calibration.offset, "decisions": calibration.decisions},
    )
    return calibration


def _decided() -> list[tuple[float, bool]]:
    """Decisions of people about one pair each: not merges by the rule, nor those of a batch, of which nobody saw each."""
    verdict = DuplicatePair.Verdict
    in_batch = Merge.objects.active().filter(job__isnull=False)
    rows = (
        DuplicatePair.objects.filter(
            Q(verdict=verdict.NOT_DUPLICATE)
            | ~(
                Exists(in_batch.filter(loser=OuterRef("a_id")))
                | Exists(in_batch.filter(loser=OuterRef("b_id")))
            ),
            Q(user__isnull=False) | Q(key__isnull=False),
            verdict__in=[verdict.MERGED, verdict.NOT_DUPLICATE],
            model_version=shipped().version,
        )
        .order_by("-decided_at", "-id")
        .values_list("score", "verdict")[:MAX_DECISIONS]
    )
    return [(score, value == verdict.MERGED) for score, value in rows]
