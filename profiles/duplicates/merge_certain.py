"""Open certain pairs → a merge batch nobody had to start: off as shipped, capped per hour, undone like any
batch.
"""

from __future__ import annotations

import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from cdp.actors import Actor
from cdp.locks import Lock, try_take
from profiles.builtin_sources import builtin_source
from profiles.merging.batches.apply import start_batch
from profiles.merging.batches.freeze import make_batch
from profiles.models import (
    DuplicateCase,
    DuplicatePair,
    DuplicatePolicy,
    Merge,
    MergeBatch,
    MergeBatchRow,
    Profile,
    Tier,
)

# How long a pair the rule could not merge is left alone.
RESTED = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)


@transaction.atomic
def merge_certain() -> MergeBatch | None:
    """Start a batch of as many certain pairs as this hour still allows; None when the rule is off or there
    are none.

    There is one batch of the rule at a time. Safe to call concurrently.
    """
    policy = DuplicatePolicy.current()
    if not policy.auto_merge or not _try_lock():
        return None
    mine = MergeBatch.objects.filter(origin=MergeBatch.Origin.RULE)
    if mine.filter(state=MergeBatch.State.MERGING, job__state__in=["queued", "running", "paused"]).exists():
        return None
    since = Merge.objects.filter(created_at__gt=Now() - HOUR, job__in=mine.values("job"))
    left = policy.auto_merge_cap - since.count()
    if left <= 0:
        return None
    pairs = certain_pairs()[:left]
    if not pairs.exists():
        return None
    actor, source = Actor.system(), builtin_source("system")
    batch = make_batch(
        pairs, title="Certain pairs, merged automatically", origin="rule", actor=actor, source=source
    )
    return start_batch(batch_id=batch.pk, actor=actor, unseen=True)


def certain_pairs() -> QuerySet[DuplicatePair]:
    """Open certain pairs that nothing speaks against, the highest score first.

    Left out are pairs with a veto, in a case with a problem, with a locked or deleted profile, with an
    assignee, those the rule failed to merge within a day, and profiles of which somebody undid a bulk merge.
    """
    in_vain = MergeBatchRow.objects.filter(
        pair=OuterRef("pk"),
        outcome=MergeBatchRow.Outcome.SKIPPED,
        batch__origin=MergeBatch.Origin.RULE,
        batch__created_at__gt=Now() - RESTED,
    )
    taken_back = Merge.objects.filter(job__isnull=False, undone_at__isnull=False)
    fit = Q(status=Profile.Status.LIVE, is_locked=False)
    people = Profile.objects.filter(fit)
    return DuplicatePair.objects.filter(
        Exists(people.filter(pk=OuterRef("a_id"))),
        Exists(people.filter(pk=OuterRef("b_id"))),
        ~Exists(in_vain),
        ~Exists(taken_back.filter(loser=OuterRef("a_id"))),
        ~Exists(taken_back.filter(loser=OuterRef("b_id"))),
        Q(case=None) | ~Q(case__state=DuplicateCase.State.OPEN) | Q(case__problem=""),
        verdict=DuplicatePair.Verdict.OPEN,
        tier=Tier.CERTAIN,
        veto="",
        assignee=None,
    ).order_by("-score", "-pk")


def _try_lock() -> bool:
    return try_take(Lock.CERTAIN_MERGES)
