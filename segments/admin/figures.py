"""A segment → the figures of its pages: how many are in it, how that changed and why, how fresh it is, and its newest members."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, Min, Q, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone

from cdp.admin.charts import Chart, Series
from cdp.admin.query_timeout import within_patience
from cdp.models import Job, Webhook
from segments.evaluate.explain import next_flip
from segments.evaluate.moment import current_moment
from segments.membership.fill import KIND
from segments.models import Cause, Membership, QueueEntry, Segment
from segments.person import load_people
from segments.rules.tree import Rule

DAYS = 30
MEMBERS = 10
# How long a change may wait before pages say that segments are behind.
BEHIND = datetime.timedelta(seconds=30)

# Cause → what comes after “380 by …” and in the list of members.
CAUSES = {
    Cause.EVENT: "an event",
    Cause.CHANGE: "a change of the profile",
    Cause.IMPORT: "an import",
    Cause.MERGE: "a merge",
    Cause.UNMERGE: "a merge undone",
    Cause.TIME: "time passing",
    Cause.RULE: "a new version of the rule",
    Cause.SEGMENT: "another segment",
    Cause.OTHER: "somebody with the same address, or a suggested duplicate",
    Cause.SETTING: "a setting",
    Cause.RETENTION: "old events being deleted",
    Cause.STAFF: "hand",
    Cause.RECOUNT: "the nightly comparison",
}


def cause_words(cause: str) -> str:
    return CAUSES.get(Cause(cause), cause) if cause in Cause.values else cause


def people_by_segment(ids: Sequence[int]) -> dict[int, int] | None:
    """How many are in each now; None where counting takes too long. One query."""
    current = Membership.objects.current().filter(segment__in=ids).order_by()
    return within_patience(lambda: dict(current.values_list("segment").annotate(Count("pk"))))


def count_members(segment_id: int) -> tuple[int, int, int] | None:
    """All members, the recognized and the anonymous ones among them; None where counting takes too long. One query."""
    current = Membership.objects.current().filter(segment=segment_id).order_by()
    counts = within_patience(
        lambda: current.aggregate(
            people=Count("pk"), recognized=Count("pk", filter=Q(profile__is_recognized=True))
        )
    )
    if counts is None:
        return None
    people, recognized = counts["people"], counts["recognized"]
    return people, recognized, people - recognized


def lag() -> datetime.timedelta:
    """How long the oldest change has waited to be compared with the rules. One query."""
    oldest = QueueEntry.objects.aggregate(oldest=Min("queued_at"))["oldest"]
    return max(timezone.now() - oldest, datetime.timedelta()) if oldest else datetime.timedelta()


@dataclass(frozen=True, slots=True)
class State:
    """A segment's state as a badge; ``detail`` says why or how fresh."""

    css: str
    text: str
    detail: str = ""


def state_of(segment: Segment, behind: datetime.timedelta) -> State:
    if segment.state == Segment.State.BROKEN:
        return State("bad", "broken", segment.problem)
    if segment.state == Segment.State.ARCHIVED:
        return State("mute", "archived")
    if segment.state == Segment.State.FILLING:
        return State("acc", "being filled")
    if behind > BEHIND:
        seconds = round(behind.total_seconds())
        waited = f"{seconds // 60:,} min" if seconds >= 120 else f"{seconds} s"
        return State("warn", "live", f"changes wait for {waited}")
    return State("ok", "live", "up to date")


def filling_job(segment: Segment) -> Job | None:
    """The job that fills it, while it runs or waits. One query."""
    if segment.state != Segment.State.FILLING:
        return None
    return Job.objects.open().filter(kind=KIND, params__segment=segment.pk).order_by("-pk").first()


# --- Coming and going -------------------------------------------------------------------------------------


def chart(segment_id: int) -> Chart | None:
    """Who came in and went out each day, edits of the rule left out; None where counting takes too long. Two queries."""
    today = timezone.localdate()
    days = [today - datetime.timedelta(days=DAYS - 1 - ago) for ago in range(DAYS)]
    since = _midnight(days[0])
    stays = Membership.objects.filter(segment=segment_id).order_by()
    entered = within_patience(lambda: _by_day(stays.exclude(entered_by=Cause.RULE), "entered_at", since))
    left = within_patience(lambda: _by_day(stays.exclude(left_by=Cause.RULE), "left_at", since))
    if entered is None or left is None:
        return None
    series = [
        Series("Came in", [entered.get(day, 0) for day in days]),
        Series("Went out", [left.get(day, 0) for day in days]),
    ]
    return Chart("Came in and went out, 30 days", [f"{day.day} {day:%b}" for day in days], series)


def _by_day(stays: QuerySet[Membership], name: str, since: datetime.datetime) -> dict[datetime.date, int]:
    return dict(stays.filter(**{f"{name}__gte": since}).values_list(TruncDate(name)).annotate(Count("pk")))


def _midnight(day: datetime.date) -> datetime.datetime:
    return timezone.make_aware(datetime.datetime.combine(day, datetime.time()))


@dataclass(frozen=True, slots=True)
class Change:
    """How many came in (or went out) since midnight, and by what, the most frequent first."""

    total: int
    causes: tuple[tuple[str, int], ...]


def today(segment_id: int) -> tuple[Change, Change] | None:
    """Who came in and who went out today. Two queries."""
    since = _midnight(timezone.localdate())
    stays = Membership.objects.filter(segment=segment_id).order_by()
    entered = within_patience(lambda: _by_cause(stays.filter(entered_at__gte=since), "entered_by"))
    left = within_patience(lambda: _by_cause(stays.filter(left_at__gte=since), "left_by"))
    return None if entered is None or left is None else (entered, left)


def _by_cause(stays: QuerySet[Membership], name: str) -> Change:
    counts = sorted(stays.values_list(name).annotate(Count("pk")), key=lambda row: -row[1])
    return Change(
        sum(number for _, number in counts), tuple((cause_words(by), number) for by, number in counts)
    )


# --- Members ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stay:
    """One member: since when and why; ``leaves_at`` when time alone will end it."""

    profile_id: int
    since: datetime.datetime
    cause: str
    leaves_at: datetime.datetime | None = None


def newest_members(segment: Segment, rule: Rule | None) -> list[Stay]:
    """Ten who came in last, with when time will change that. A fixed number of queries."""
    rows = Membership.objects.current().filter(segment=segment).order_by("-entered_at", "-pk")[:MEMBERS]
    stays = list(rows.values_list("profile_id", "entered_at", "entered_by"))
    leaves = _next_changes([pk for pk, _, _ in stays], rule) if rule else {}
    return [Stay(pk, at, cause_words(by), leaves.get(pk)) for pk, at, by in stays]


def _next_changes(ids: Iterable[int], rule: Rule) -> dict[int, datetime.datetime | None]:
    people, moment = load_people(ids, rule.reads), current_moment()
    return {pk: next_flip(rule, person, moment) for pk, person in people.items()}


def listening_webhooks() -> list[Webhook]:
    """Those that are told who comes and goes. One query."""
    topics = ["segment.entered", "segment.left"]
    return list(Webhook.objects.filter(topics__overlap=topics, is_active=True).order_by("name"))
