"""A source's usual and recent calls → whether it began to send something else, and since which minute.
Pure.

A signal is a share of a source's calls, such as ``update`` among all calls about a person. Usual are the
shares of its hours in the last days, with small hours combined until they have MIN_CALLS; of these the
middle 96 % (so that neither one bad afternoon nor a nightly batch sets off or hides an alarm for long),
widened by what chance can do to so few calls. An alarm needs all of:

- MIN_CALLS in the last hour and MIN_USUAL before; MIN_HITS calls that show the signal;
- a share beyond the usual by the signal's ``step`` (or, for what is missing, at most half of it);
- a share that chance does not explain: Wilson's interval at Z standard errors stays beyond the usual.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, log, sqrt

from profiles.models import SourceAlarm

MIN_CALLS, MIN_HITS, MIN_USUAL = 30, 20, 100
Z = 4.0
_MIDDLE = 0.98

Part = tuple[int, int]  # (hits, of how many calls)
Minute = tuple[datetime.datetime, int, int]  # (when, hits, of how many calls)


@dataclass(frozen=True, slots=True)
class CallCounts:
    """How many of one source's calls were of each kind, over some time."""

    items: int = 0
    events: int = 0
    identifies: int = 0
    updates: int = 0
    unknown_events: int = 0
    attribute_ids: int = 0
    violations: int = 0


@dataclass(frozen=True, slots=True)
class Signal:
    """``part`` gives (hits, calls) of call counts. ``says`` follows "Since 14:05 shop", ``fix`` is what to
    do.
    """

    code: str
    part: Callable[[CallCounts], Part]
    step: float
    says: str
    of: str
    fix: str
    rises: bool = True


SIGNALS: tuple[Signal, ...] = (
    Signal(
        SourceAlarm.Signal.UPDATE.value,
        lambda s: (s.updates, s.identifies + s.updates),
        0.2,
        "sends update calls where it used to send identify",
        "calls about a person",
        "Update identifies nobody: visitors stay anonymous and get second profiles. Send identify again,"
        " with a userId or traits.email.",
    ),
    Signal(
        SourceAlarm.Signal.NO_IDENTIFY.value,
        lambda s: (s.identifies, s.items),
        0.0,
        "sends almost no identify calls any more",
        "calls",
        "Visitors stay anonymous. Look at what changed on its pages, and call identify again where somebody logs in,"
        " orders or signs up.",
        rises=False,
    ),
    Signal(
        SourceAlarm.Signal.UNKNOWN.value,
        lambda s: (s.unknown_events, s.events),
        0.2,
        "sends more events of unknown visitors",
        "events",
        "Send userId with the events of people who are logged in, and identify before them.",
    ),
    Signal(
        SourceAlarm.Signal.ATTRIBUTE.value,
        lambda s: (s.attribute_ids, s.items),
        0.02,
        "sends e-mails or ids as plain attributes",
        "calls",
        "They identify nobody there. Send them by identify, as traits.email or userId.",
    ),
    Signal(
        SourceAlarm.Signal.VIOLATION.value,
        lambda s: (s.violations, s.events),
        0.05,
        "sends more events that break their schema",
        "events",
        "See which property under Event schemas, and correct what the page sends or what the schema asks for.",
    ),
)
BY_CODE = {signal.code: signal for signal in SIGNALS}


@dataclass(frozen=True, slots=True)
class Usual:
    """``share`` of all calls, and the ``low`` and ``high`` limits of what is usual."""

    share: float
    low: float
    high: float


def usual_of(hours: Iterable[Part]) -> Usual | None:
    """From (hits, calls) of earlier hours in order; None while there are too few calls."""
    blocks = _blocks(hours)
    hits, calls = sum(k for k, _ in blocks), sum(n for _, n in blocks)
    if calls < MIN_USUAL:
        return None
    shares = sorted(k / n for k, n in blocks)
    low, high = wilson(hits, calls, Z)
    return Usual(hits / calls, min(low, _rank(shares, 1 - _MIDDLE)), max(high, _rank(shares, _MIDDLE)))


def _blocks(hours: Iterable[Part]) -> list[Part]:
    """Hours combined, in their order, until each has MIN_CALLS."""
    blocks: list[Part] = []
    hits = calls = 0
    for k, n in hours:
        hits, calls = hits + k, calls + n
        if calls >= MIN_CALLS:
            blocks.append((hits, calls))
            hits = calls = 0
    if calls and blocks:
        last = blocks.pop()
        blocks.append((last[0] + hits, last[1] + calls))
    return blocks


def _rank(ordered: Sequence[float], part: float) -> float:
    """The value below which this part of the shares lies (nearest rank)."""
    return ordered[max(0, min(len(ordered) - 1, ceil(part * len(ordered)) - 1))]


def is_unusual(signal: Signal, usual: Usual, now: Part) -> bool:
    """Whether chance and habit do not explain the last hour's (hits, calls)."""
    hits, calls = now
    if calls < MIN_CALLS:
        return False
    low, high = wilson(hits, calls, Z)
    if signal.rises:
        return hits >= MIN_HITS and low > usual.high and hits / calls >= usual.high + signal.step
    missed = usual.low * calls - hits
    return missed >= MIN_HITS and high < usual.low and hits / calls <= usual.low / 2


def is_back(signal: Signal, bound: float, now: Part) -> bool:
    """Whether a share that had passed ``bound`` is within it again."""
    hits, calls = now
    if calls < MIN_CALLS:
        return False
    return hits / calls <= bound if signal.rises else hits / calls >= bound


def bound_of(signal: Signal, usual: Usual) -> float:
    return usual.high if signal.rises else usual.low


def wilson(hits: int, calls: int, z: float) -> tuple[float, float]:
    """The interval of the true share at ``z`` standard errors; (0, 1) for no calls."""
    if not calls:
        return 0.0, 1.0
    share, square = hits / calls, z * z
    middle = share + square / (2 * calls)
    reach = z * sqrt(share * (1 - share) / calls + square / (4 * calls * calls))
    whole = 1 + square / calls
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)


def began(signal: Signal, usual: Usual, minutes: Sequence[Minute]) -> datetime.datetime | None:
    """The minute from which the calls most likely have another share than the usual one; None for no calls.

    A CUSUM with an unknown share after the change; of equally likely minutes the latest, so that minutes
    without calls do not count. Minutes in order.
    """
    best, beginning = 0.0, None
    hits = calls = 0
    expected = min(max(usual.share, 1e-4), 1 - 1e-4)
    for at, k, n in reversed(minutes):
        if not n:
            continue
        hits, calls = hits + k, calls + n
        share = hits / calls
        gain = _gain(hits, calls, share, expected) if (share > expected) == signal.rises else 0.0
        if beginning is None or gain > best:
            best, beginning = gain, at
    return beginning


def _gain(hits: int, calls: int, share: float, expected: float) -> float:
    """By how much (log likelihood) the calls fit ``share`` better than ``expected``."""
    gain = hits * log(share / expected) if hits else 0.0
    return gain + ((calls - hits) * log((1 - share) / (1 - expected)) if hits < calls else 0.0)


def sentence(signal: Signal, *, source: str, since: str, share: float, usual: float, calls: int) -> str:
    """“Since 14:05 Checkout sends update calls where it used to send identify: 96 % of 240 calls about a person, usually 3 %.”"""
    return f"Since {since} {source} {signal.says}: {percent(share)} of {calls:,} {signal.of}, usually {percent(usual)}."


def percent(share: float) -> str:
    """“96 %”, “0.4 %”, “0 %”."""
    value = share * 100
    if 0 < value < 0.1:
        return "< 0.1 %"
    return f"{value:.1f} %" if value < 1 and value else f"{value:.0f} %"
