"""The first page: what needs attention, figures, charts, what runs and what can be taken back → one object to show.

Apps register each part with its permission. Every number is one set-based query over an index; should a table
have outgrown it, the query is cut off (cdp/admin/query_timeout.py) and the part says so.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from django.db.models import Q

from cdp.admin import needs_attention
from cdp.admin.charts import Chart
from cdp.admin.query_timeout import within_patience
from cdp.models import Job, User
from cdp.registry import Registry

ITEMS, JOBS, UNDOABLE = 6, 4, 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """``load`` is called for people with ``permission``; ``title`` heads the part also when it took too long."""

    title: str
    permission: str
    load: Callable[[Any], T]


@dataclass(frozen=True, slots=True)
class Figure:
    label: str
    number: int
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Population:
    """The box of figures: one large number, how it splits in two, and what else there is to know."""

    total: int
    split: tuple[Figure, Figure]
    url: str
    note: str = ""
    figures: Sequence[Figure] = ()


@dataclass(frozen=True, slots=True)
class Kpi:
    """A small chart under its number. ``note`` compares it; ``tone`` is ok, bad or empty; ``footer`` leads on."""

    number: str
    chart: Chart
    note: str = ""
    tone: str = ""
    footer: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Undoable:
    text: str
    by: str
    at: datetime.datetime
    url: str
    button: str = "Undo…"
    page_url: str = ""


@dataclass(frozen=True, slots=True)
class Shown(Generic[T]):
    """A part as it is shown; ``value`` is None where reading it took too long."""

    title: str
    value: T | None


populations: Registry[Part[Population]] = Registry("The box of figures")
kpis: Registry[Part[Kpi]] = Registry("The chart of the first page")
undoables: Registry[Part[list[Undoable]]] = Registry("What can be taken back")


@dataclass(frozen=True, slots=True)
class Today:
    items: list[needs_attention.Item]
    populations: list[Shown[Population]]
    kpis: list[Shown[Kpi]]
    jobs: list[Job]
    undoables: list[Undoable]
    may_undo: bool
    is_fresh: bool
    severities: dict[str, int] = field(default_factory=dict)


def today(user: Any) -> Today:
    """Everything the first page shows to this person. A fixed number of queries, whatever the size."""
    figures = _load(populations, user)
    jobs = _latest_jobs(user)
    counted = [shown.value for shown in figures if shown.value is not None]
    is_fresh = bool(counted) and not any(value.total for value in counted) and not jobs
    items = [] if is_fresh else needs_attention.items(user, at_most=ITEMS)
    taken_back = [] if is_fresh else _load(undoables, user)
    newest = sorted(
        (entry for shown in taken_back for entry in shown.value or []),
        key=lambda entry: entry.at,
        reverse=True,
    )
    return Today(
        items=items,
        populations=figures,
        kpis=[] if is_fresh else _load(kpis, user),
        jobs=jobs,
        undoables=newest[:UNDOABLE],
        may_undo=bool(taken_back),
        is_fresh=is_fresh,
        severities={name: sum(item.severity == name for item in items) for name in ("bad", "warn")},
    )


def _load(parts: Registry[Part[T]], user: Any) -> list[Shown[T]]:
    return [
        Shown(part.title, within_patience(lambda part=part: part.load(user)))  # type: ignore[misc]
        for part in parts
        if user.has_perm(part.permission)
    ]


def open_jobs_for(user: Any) -> Q:
    """Which jobs a person sees: all with the right to change jobs, else their own."""
    if user.has_perm("cdp.change_job"):
        return Q()
    return Q(user_id=user.pk) if isinstance(user, User) else Q(pk__in=[])


def _latest_jobs(user: Any) -> list[Job]:
    """What runs or waits first, then what ended last."""
    visible = Job.objects.filter(open_jobs_for(user)).select_related("user")
    running = list(visible.filter(state__in=Job.OPEN)[:JOBS])
    ended = list(visible.exclude(state__in=Job.OPEN)[:JOBS])
    return [*running, *ended][:JOBS]
