"""Fits the line from score to probability to what people of this base decided. Once a day."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from profiles.duplicates.scoring.calibration import Line, fit_line
from profiles.duplicates.scoring.model import shipped
from profiles.models import DuplicatePair, DuplicatePolicy

# The newest ones: bases change, and so do the people who review them.
MOST = 20_000
_SHIPPED = Line(1.0, 0.0, 0)


@transaction.atomic
def refit() -> Line | None:
    """The new line, None where it stays. Decisions about scores of another model do not count.

    Too few decisions bring back the shipped line.
    """
    line = fit_line(_decided()) or _SHIPPED
    DuplicatePolicy.objects.get_or_create(pk=1)
    policy = DuplicatePolicy.objects.select_for_update().get(pk=1)
    if line == Line(policy.line_slope, policy.line_offset, policy.line_decisions):
        return None
    policy.line_slope, policy.line_offset, policy.line_decisions = line.slope, line.offset, line.decisions
    policy.fitted_at = timezone.now()
    policy.save(update_fields=["line_slope", "line_offset", "line_decisions", "fitted_at"])
    audit.record(
        "duplicate.calibrate",
        actor=Actor.system(),
        detail={"slope": line.slope, "offset": line.offset, "decisions": line.decisions},
    )
    return line


def _decided() -> list[tuple[float, bool]]:
    """What people decided, not what a rule merged by itself."""
    verdict = DuplicatePair.Verdict
    rows = (
        DuplicatePair.objects.filter(
            Q(user__isnull=False) | Q(key__isnull=False),
            verdict__in=[verdict.MERGED, verdict.NOT_DUPLICATE],
            model_version=shipped().version,
        )
        .order_by("-decided_at", "-id")
        .values_list("score", "verdict")[:MOST]
    )
    return [(score, value == verdict.MERGED) for score, value in rows]
