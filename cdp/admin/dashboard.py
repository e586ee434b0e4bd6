"""The first page: how many people, who is new, what is running. Each panel only for who may see it.

Every number is one set-based query over an index. Should a table have outgrown it, the query is cut off
(cdp/admin/query_timeout.py) and the panel says so, rather than the page hanging.
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q
from django.db.models.functions import TruncDate
from django.utils import timezone

from cdp.admin.charts import Chart, Series
from cdp.admin.query_timeout import within_patience
from cdp.models import Job, User
from imports.models import Import
from profiles.models import Merge, Profile, SourceAlarm
from profiles.quality import alarms as alarm
from profiles.quality import trend

DAYS = 30
SOURCES_SHOWN = 4
ROWS = 6


@dataclass(frozen=True, slots=True)
class Split:
    recognized: int
    anonymous: int

    @property
    def total(self) -> int:
        return self.recognized + self.anonymous


@dataclass(frozen=True, slots=True)
class Today:
    """What the page shows. None where the person may not see it or, for counts, where it took too long."""

    may_see_people: bool
    may_see_duplicates: bool
    is_fresh: bool
    split: Split | None
    new_people: Chart | None
    duplicates: tuple[Chart, Chart] | None
    alarms: list[tuple[SourceAlarm, str]]
    imports: list[Import] | None
    jobs: list[Job] | None
    merges: list[Merge] | None
    may_see_names: bool


def today(user: Any) -> Today:
    """Everything the first page shows to this person. At most nine queries, whatever the size."""
    sees_people = user.has_perm("profiles.view_profile")
    sees_duplicates = user.has_perm("profiles.view_duplicatepair")
    split = within_patience(_split) if sees_people else None
    imports = _last_imports() if user.has_perm("imports.view_import") else None
    is_fresh = split is not None and not split.total and not imports
    return Today(
        may_see_people=sees_people,
        may_see_duplicates=sees_duplicates,
        is_fresh=is_fresh,
        split=split,
        new_people=within_patience(_new_people) if sees_people and not is_fresh else None,
        duplicates=within_patience(_duplicates) if sees_duplicates and not is_fresh else None,
        alarms=_alarms() if user.has_perm("profiles.view_sourcealarm") else [],
        imports=imports,
        jobs=_open_jobs(user),
        merges=_recent_merges() if user.has_perm("profiles.view_merge") else None,
        may_see_names=user.has_perm("profiles.view_pii"),
    )


def _split() -> Split:
    """Two index-only counts over the partial indexes of recognized and anonymous people."""
    live = Profile.objects.live().order_by()
    return Split(recognized=live.recognized().count(), anonymous=live.anonymous().count())


def _new_people() -> Chart:
    """People by the day they were made and the source that made them, in the site's time zone."""
    last = timezone.localdate()
    days = [last - datetime.timedelta(days=back) for back in reversed(range(DAYS))]
    start = timezone.make_aware(datetime.datetime.combine(days[0], datetime.time.min))
    rows = (
        Profile.objects.live()
        .filter(created_at__gte=start)
        .order_by()
        .values_list(TruncDate("created_at"), "source_id", "source__name")
        .annotate(Count("pk"))
    )
    return Chart(
        title=f"New people in {DAYS} days",
        labels=[f"{day.day} {day:%b}" for day in days],
        series=_by_source(rows, days),
    )


def _duplicates() -> tuple[Chart, Chart]:
    """Pairs found and pairs decided, by the day. Two queries over indexes by time."""
    return trend.found_by_day(), trend.decided_by_day()


def _alarms() -> list[tuple[SourceAlarm, str]]:
    """Sources that changed what they send, until somebody has read it, with what to do about it."""
    return [(one, alarm.fix_of(one)) for one in alarm.unread()[:ROWS]]


def _by_source(rows: Iterable[tuple[Any, ...]], days: list[datetime.date]) -> list[Series]:
    """A series for each of the sources shipped first and used most, the rest together."""
    counts: dict[tuple[int, str], dict[datetime.date, int]] = {}
    for day, source_id, name, count in rows:
        counts.setdefault((source_id, name), {})[day] = count
    biggest = sorted(counts, key=lambda source: -sum(counts[source].values()))
    shown = sorted(biggest[:SOURCES_SHOWN])
    series = [Series(source[1], [counts[source].get(day, 0) for day in days]) for source in shown]
    if len(biggest) > len(shown):
        rest = [counts[source] for source in biggest[SOURCES_SHOWN:]]
        series.append(Series("Others", [sum(one.get(day, 0) for one in rest) for day in days]))
    return series


def _last_imports() -> list[Import]:
    return list(Import.objects.select_related("user", "job").defer("sample", "mapping", "warnings")[:ROWS])


def open_jobs_for(user: Any) -> Q:
    """Which jobs a person sees: all with the right to change jobs, else their own."""
    if user.has_perm("cdp.change_job"):
        return Q()
    return Q(user_id=user.pk) if isinstance(user, User) else Q(pk__in=[])


def _open_jobs(user: Any) -> list[Job]:
    return list(Job.objects.open().filter(open_jobs_for(user)).select_related("user")[:ROWS])


def _recent_merges() -> list[Merge]:
    return list(Merge.objects.select_related("winner", "user", "key")[:ROWS])
