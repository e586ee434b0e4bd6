"""Decisions change the calibration from score to probability, within limits."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import log2
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp.models import AuditEntry, Job, User
from profiles.duplicates.review import fit_calibration
from profiles.duplicates.review.explain import NO_SCORE, score_for
from profiles.duplicates.scoring.calibration import MIN_DECISIONS, OFFSETS, SLOPES, Calibration, fit
from profiles.duplicates.scoring.model import shipped
from profiles.models import DuplicatePair, DuplicatePolicy, Merge
from profiles.tasks import calibrate_duplicates
from tests.profile_factory import make_profile


def decisions(slope: float, offset: float, count: int) -> list[tuple[float, bool]]:
    dice = random.Random(4)
    scores = [dice.uniform(-6, 6) for _ in range(count)]
    return [(score, dice.random() < 1 / (1 + 2 ** -(slope * score + offset))) for score in scores]


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.6, -2.0), (1.8, 1.5)])
def test_the_calibration_of_decisions_is_recovered(slope: float, offset: float) -> None:
    calibration = fit(decisions(slope, offset, 4_000))
    assert calibration is not None
    assert calibration.slope == pytest.approx(slope, abs=0.15)
    assert calibration.offset == pytest.approx(offset, abs=0.3)
    assert calibration.decisions == 4_000


def test_few_decisions_or_of_one_kind_say_nothing() -> None:
    assert fit(decisions(1, 0, MIN_DECISIONS - 1)) is None
    assert fit([(1.0, True)] * 1_000 + [(-1.0, False)] * 19) is None
    assert fit([(1.0, True)] * 180 + [(-1.0, False)] * 20) is not None


def test_decisions_that_a_score_parts_and_ones_against_it_stay_within_limits() -> None:
    parted = fit([(score / 10, score > 0) for score in range(-200, 200)])
    against = fit([(score / 10, score < 0) for score in range(-200, 200)])
    assert parted is not None
    assert against is not None
    assert 1 < parted.slope <= SLOPES[1]
    assert against.slope == SLOPES[0]


def loss(calibration: Calibration, decided: list[tuple[float, bool]]) -> float:
    """How surprising decisions are, on average, in bits."""
    total = 0.0
    for score, same in decided:
        bits = calibration.slope * score + calibration.offset
        total += log2(1 + 2 ** -(bits if same else -bits))
    return total / len(decided)


@pytest.mark.parametrize("share_of", [lambda score: 0.23, lambda score: 0.4 if score < 6 else 0.1])
def test_decisions_that_do_not_follow_the_score_give_their_share(share_of: Callable[[float], float]) -> None:
    """1,616 decisions of which 23 of 100 are merges: a score of 0 must not come out as 99 of 100."""
    dice = random.Random(11)
    decided = [
        (score, dice.random() < share_of(score)) for score in (dice.uniform(-1, 12) for _ in range(1_616))
    ]
    calibration = fit(decided)
    assert calibration is not None
    share = sum(same for _, same in decided) / len(decided)
    assert calibration.slope == 0
    for score in (-5.0, 0.0, 12.0):
        shown = 1 / (1 + 2 ** -(calibration.slope * score + calibration.offset))
        assert shown == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(
    ("slope", "offset"), [(1.0, 0.0), (0.1, 3.0), (3.5, -7.5), (0.02, -2.0), (0.5, -9.0)]
)
def test_it_never_does_worse_than_a_constant_on_decisions_it_has_not_seen(
    slope: float, offset: float
) -> None:
    seen, unseen = decisions(slope, offset, 800), decisions(slope, offset, 4_000)[800:]
    calibration = fit(seen)
    if calibration is None:  # hardly any of one kind
        return
    share = sum(same for _, same in seen) / len(seen)
    constant = Calibration(0.0, log2(share / (1 - share)), len(seen))
    assert loss(calibration, unseen) <= loss(constant, unseen) + 0.01


def test_where_the_slope_stands_at_its_limit_the_offset_is_the_best_for_that() -> None:
    dice = random.Random(3)
    decided = [
        (score, score > 2 or dice.random() < 0.02) for score in (dice.uniform(-3, 3) for _ in range(2_000))
    ]
    calibration = fit(decided)
    assert calibration is not None
    for moved in (-0.5, 0.5):
        other = Calibration(calibration.slope, calibration.offset + moved, calibration.decisions)
        assert loss(calibration, decided) < loss(other, decided)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.floats(-60, 60), st.booleans()), min_size=200, max_size=260),
)
def test_any_decisions_give_a_rising_calibration_or_none(decided: list[tuple[float, bool]]) -> None:
    calibration = fit(decided)
    if calibration is not None:
        assert SLOPES[0] <= calibration.slope <= SLOPES[1]
        assert OFFSETS[0] <= calibration.offset <= OFFSETS[1]


def decide(count: int, *, version: str, user: User | None) -> None:
    profiles = [make_profile() for _ in range(30)]
    pairs = [(a, b) for a in profiles for b in profiles if a.pk < b.pk][:count]
    dice = random.Random(7)
    verdict = DuplicatePair.Verdict
    DuplicatePair.objects.bulk_create(
        DuplicatePair(
            a=a,
            b=b,
            score=(score := dice.uniform(-6, 6)),
            verdict=verdict.MERGED if dice.random() < 1 / (1 + 2 ** -(score - 3)) else verdict.NOT_DUPLICATE,
            model_version=version,
            user=user,
            decided_at=timezone.now(),
        )
        for a, b in pairs
    )


@pytest.mark.django_db
def test_a_base_learns_from_its_decisions_once_and_says_so() -> None:
    user = User.objects.create_user("reviewer")
    decide(300, version="0", user=user)  # of another model
    calibrate_duplicates()
    assert DuplicatePolicy.current().calibration_decisions == 0
    DuplicatePair.objects.update(model_version=shipped().version, user=None)  # nobody decided: a rule did
    assert fit_calibration.refit() is None
    DuplicatePair.objects.update(user=user)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        calibration = fit_calibration.refit()
    assert len(queries) < 10
    assert calibration is not None
    policy = DuplicatePolicy.current()
    assert (policy.calibration_slope, policy.calibration_offset, policy.calibration_decisions) == (
        calibration.slope,
        calibration.offset,
        300,
    )
    assert calibration.offset < -1
    assert policy.fitted_at is not None
    entry = AuditEntry.objects.get(action="duplicate.calibrate")
    assert entry.detail == {"slope": calibration.slope, "offset": calibration.offset, "decisions": 300}
    assert fit_calibration.refit() is None
    # A new model's scores mean something else: back to the shipped line.
    DuplicatePair.objects.update(model_version="another")
    assert fit_calibration.refit() is not None
    assert DuplicatePolicy.current().calibration_slope == 1.0


@pytest.mark.django_db
def test_merges_of_a_batch_teach_nothing(by_staff: dict[str, Any]) -> None:
    decide(300, version=shipped().version, user=by_staff["actor"].user)
    assert fit_calibration.refit() is not None
    job = Job.objects.create(kind="merges.apply", title="Merge many")
    for pair in DuplicatePair.objects.filter(verdict="merged"):
        Merge.objects.get_or_create(
            loser_id=pair.b_id,
            defaults={"winner_id": pair.a_id, "source": by_staff["source"], "job": job},
        )
    # What is left are decisions of one kind alone.
    assert fit_calibration.refit() is not None
    assert DuplicatePolicy.current().calibration_decisions == 0


def test_a_score_that_says_nothing_is_nobodys_limit() -> None:
    policy = DuplicatePolicy(calibration_slope=0.0, calibration_offset=-2.0)
    assert (score_for(0.1, policy), score_for(0.9, policy)) == (-NO_SCORE, NO_SCORE)
