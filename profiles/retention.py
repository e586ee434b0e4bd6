"""Rejected items, batches of merges and groups of duplicates past their time → deleted; and this app's rules of retention."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from cdp.models import Job
from cdp.retention import Rule, kept_with
from profiles.bulk.exports import KEPT_DAYS
from profiles.models import DuplicateCase, MergeBatch, MergeBatchRow
from profiles.quality.hourly_counts import KEPT as HOURS_KEPT

_PERSON = "Kept with the person."
_LIST = "Kept until somebody deletes them."
_STATE = "One row of the product's own state."
_DERIVED = "Kept up to date with the people they are made of, and gone with them."


def forget_batches() -> int:
    """Remove batches of merges that nobody started, 30 days after they were made; how many."""
    is_busy = Q(job__state__in=Job.OPEN)
    old = MergeBatch.objects.filter(started_at=None, created_at__lt=Now() - timedelta(days=30))
    ids = list(old.exclude(is_busy).order_by("pk").values_list("pk", flat=True)[:100])
    MergeBatchRow.objects.filter(batch_id__in=ids).delete()
    MergeBatch.objects.filter(pk__in=ids).delete()
    return len(ids)


def forget_cases() -> int:
    """Remove groups of duplicates that are no longer found, 90 days after; how many."""
    gone = DuplicateCase.objects.filter(
        state=DuplicateCase.State.GONE, updated_at__lt=Now() - timedelta(days=90)
    )
    ids = list(gone.order_by("pk").values_list("pk", flat=True)[:5_000])
    return DuplicateCase.objects.filter(pk__in=ids).delete()[0]


RULES = {
    "profiles.Receipt": Rule(
        "Deleted {days} days after they came. A rejected item that nobody dealt with stays longer.",
        by="receipts",
        setting="CDP_RECEIPT_KEEP_DAYS",
    ),
    "rejected items": Rule(
        "Deleted after {days} days, though nobody dealt with them.",
        by="receipts",
        setting="CDP_REJECTED_KEEP_DAYS",
    ),
    "files of exports": Rule(f"Deleted {KEPT_DAYS} days after they were written.", by="exports"),
    "profiles.SourceHour": Rule(
        f"Deleted after {HOURS_KEPT.days} days.", by="hourly counts", what="Hourly counts of sources"
    ),
    "profiles.MergeBatch": Rule(
        "Kept, because a batch can be undone at any time; one that nobody started is deleted after 30 days.",
        by="merge batches",
    ),
    "profiles.MergeBatchRow": Rule(
        "Kept and deleted with their batch.", by="merge batches", what="Pairs of merge batches"
    ),
    "profiles.DuplicateCase": Rule(
        "Kept, because nobody is asked twice; one that is no longer found is deleted after 90 days.",
        by="duplicate cases",
    ),
    **kept_with(
        _PERSON,
        (
            f"profiles.{name}"
            for name in (
                *("Profile", "Address", "Identifier", "Alternate", "ProfileTag", "Event", "Cart"),
                *("Note", "Message", "LinkInterval"),
            )
        ),
    ),
    "profiles.Change": Rule(
        "Kept with the person: it says who set what, and undoing needs it.", what="History"
    ),
    "profiles.Consent": Rule("Kept with the person: the proof of what was decided."),
    "profiles.Merge": Rule("Kept with the person: a merge can be undone at any time."),
    "profiles.DuplicatePair": Rule(
        "Kept until the two are merged or deleted: nobody is asked about a decided pair again."
    ),
    "profiles.HeldMerge": Rule(
        "Kept: later calls obey what was decided about a value.", what="Waiting merges"
    ),
    "profiles.SourceAlarm": Rule("Kept with the source: a few rows a year."),
    "profiles.EventName": Rule("Kept: events name it."),
    "profiles.Visit": Rule("Gone within seconds, when the profile shows it."),
    "profiles.MatchQueue": Rule("Gone as soon as they are compared.", what="People to be compared anew"),
    "profiles.MatchRow": Rule(_DERIVED, what="Values in the form in which they are compared"),
    "profiles.FrequentValue": Rule(_DERIVED),
    "profiles.MatchRarity": Rule(_DERIVED, what="How rare names are"),
    "profiles.MatchBase": Rule(_STATE, what="The last scan for duplicates"),
    "profiles.ScorecardState": Rule(_STATE, what="Up to when calls were counted"),
    "profiles.DuplicatePolicy": Rule(_STATE, what="Rules for duplicates"),
    **kept_with(
        _LIST,
        (
            f"profiles.{name}"
            for name in (
                *("Tag", "AttributeDefinition", "IdentifierType", "EventSchema", "SavedView"),
                *("ConsentChannel", "ConsentPurpose"),
            )
        ),
    ),
    **kept_with(
        "Kept: whatever came through one names it.",
        (f"profiles.{name}" for name in ("Source", "WriteKey")),
    ),
}
