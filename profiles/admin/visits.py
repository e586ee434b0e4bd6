"""Timeline entries → visits: runs of events close in time, folded under one sentence.

“14 events · cart → checkout → order 411.00 EUR”. Everything that is no event, and an event that stands
alone, stays an entry of its own.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field

from profiles.admin.event_text import amount_of
from profiles.admin.timeline_text import Entry
from profiles.models import Event

# A pause this long ends a visit, as in web analytics.
PAUSE = datetime.timedelta(minutes=30)
# Two events are no crowd: they are listed as they are.
FEWEST = 3

# Names of events that say how far a visit got, in the order of a purchase. Spelling and case do not matter.
_STEPS = {
    "cart": ("added to cart", "product added", "add to cart", "cart updated"),
    "checkout": ("checkout started", "begin checkout", "checkout step completed"),
    "order": ("order completed", "order placed", "purchase", "transaction.charge"),
    "refund": ("order refunded", "refund", "order cancelled"),
}
_STEP_OF = {name: step for step, names in _STEPS.items() for name in names}


@dataclass(slots=True)
class Visit:
    """``entries``, newest first, are the events. ``is_cut``: the page ended before the visit did."""

    entries: list[Entry] = field(default_factory=list)
    is_cut: bool = False

    @property
    def latest(self) -> Entry:
        return self.entries[0]

    @property
    def steps(self) -> str:
        """“cart → checkout → order 411.00 EUR”: how far it got, empty where nothing was bought or carted."""
        reached: dict[str, str] = {}
        for entry in reversed(self.entries):
            event: Event = entry.item.row
            step = _STEP_OF.get(event.name.name.lower().replace("_", " "))
            if step is not None:
                reached[step] = " ".join(filter(None, (step, _paid(step, event))))
        return " → ".join(reached[step] for step in _STEPS if step in reached)

    @property
    def pages(self) -> str:
        """What was looked at where there are no steps: the names of up to three different events."""
        texts = dict.fromkeys(entry.parts[0].strong or entry.parts[0].before for entry in self.entries)
        names = list(texts)
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    @property
    def source(self) -> str:
        """Where it took place: source and device of its latest event."""
        return " · ".join(self.latest.source.split(" · ")[:2])


def _paid(step: str, event: Event) -> str:
    return amount_of(event.properties) if step in ("order", "refund") else ""


def grouped(entries: Iterable[Entry], *, has_more: bool = False) -> list[Entry | Visit]:
    """Entries of a page, newest first, with each run of events folded into a visit where its latest event is.
    A change in the middle of a visit does not end it. ``has_more``: older entries follow on the next page."""
    listed = list(entries)
    runs: list[list[int]] = []
    for position, entry in enumerate(listed):
        if entry.item.kind != "event":
            continue
        if runs and listed[runs[-1][-1]].item.at - entry.item.at < PAUSE:
            runs[-1].append(position)
        else:
            runs.append([position])
    visits: dict[int, Visit] = {}
    folded: set[int] = set()
    for run in runs:
        if len(run) >= FEWEST:
            is_cut = has_more and listed[run[-1]].item.at - listed[-1].item.at < PAUSE
            visits[run[0]] = Visit([listed[position] for position in run], is_cut)
            folded.update(run)
    return [
        visits.get(position, entry)
        for position, entry in enumerate(listed)
        if position in visits or position not in folded
    ]
