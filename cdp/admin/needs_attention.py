"""What needs attention: the providers apps registered → items for the first page, counts for the menu.

Counts are bounded reads, remembered for half a minute per process: the menu stands on every page.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString

from cdp.admin.query_timeout import within_patience
from cdp.registry import Registry
from cdp.ttl_cache import Recent

Severity = Literal["bad", "warn", "info"]
_ORDER: dict[Severity, int] = {"bad": 0, "warn": 1, "info": 2}
SECONDS = 30.0
# No count is read further than this; the menu then says "99+".
MOST = 100


@dataclass(frozen=True, slots=True)
class Item:
    """One row of "Needs attention": a sentence, a detail, since when, and the one button that leads on."""

    severity: Severity
    title: str | SafeString
    detail: str
    button: str
    url: str
    since: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """Items of one kind, for people with ``permission``; ``task`` is the menu entry they belong to.

    ``count`` reads at most ``MOST`` rows of an index.
    """

    permission: str
    task: str
    items: Callable[[], list[Item]]
    count: Callable[[], int]


providers: Registry[Provider] = Registry("The provider of what needs attention")


def _read_counts() -> dict[str, int]:
    """Every provider's count by name; none of them where one takes too long."""
    return within_patience(lambda: {name: provider.count() for name, provider in providers.items()}) or {}


counts: Recent[dict[str, int]] = Recent(_read_counts, seconds=SECONDS)


def waiting_by_task(user: Any) -> Counter[str]:
    """``{task: number of things that wait}`` of what this person may act on."""
    waiting: Counter[str] = Counter()
    for name, provider in providers.items():
        if user.has_perm(provider.permission):
            waiting[provider.task] += counts().get(name, 0)
    return waiting


def items(user: Any, *, at_most: int) -> list[Item]:
    """Worst first, within a severity in the order of registration; a kind that takes too long is left out."""
    found: list[Item] = []
    for provider in providers:
        if user.has_perm(provider.permission):
            found += within_patience(provider.items) or []
    return sorted(found, key=lambda item: _ORDER[item.severity])[:at_most]


def url(name: str, *args: Any) -> str:
    """The address of an admin page; empty while its part of the product is not installed."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""
