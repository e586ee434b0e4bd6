"""Tags and filters every page uses: times, numbers, states, and bars that need no inline style.

{{ n|number }} 1,204 · {{ n|counted:"people" }} 1 person · {{ job.unit|noun:n }} · {{ profile.pk|plain }} 48211 (ids never take separators) · {{ at|ago }} <time>4 min ago</time>
{{ seconds|duration }} 3 min 20 s · {{ job.state|badge_class }} ok, warn, bad, acc or mute
{% avatar "AK" %} · {% split_bar "New" 12 "new" "Same" 3 "same" %} · {% state_badge job %}
"""

import datetime
import re
from collections.abc import Sequence
from typing import Any

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from cdp.admin.navigation import Navigation
from cdp.admin.navigation import navigation as build_navigation
from cdp.plurals import counted as count_of
from cdp.plurals import noun as noun_of

register = template.Library()

_STATE_CLASS = {
    "done": "ok",
    "sent": "ok",
    "delivered": "ok",
    "granted": "ok",
    "live": "ok",
    "running": "acc",
    "applying": "acc",
    "planning": "acc",
    "checking": "acc",
    "merging": "acc",
    "ready": "acc",
    "undoing": "acc",
    "planned": "acc",
    "queued": "mute",
    "kept": "mute",
    "waiting": "mute",
    "uploaded": "mute",
    "canceled": "mute",
    "undone": "mute",
    "discarded": "mute",
    "paused": "warn",
    "stopped": "warn",
    "failed": "bad",
    "dead": "bad",
    "withdrawn": "bad",
}
_OUTCOME_CLASS = {
    "applied": "ok",
    "merged": "ok",
    "conflict": "warn",
    "quarantined": "warn",
    "blocked_value": "bad",
    "invalid": "bad",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
# A live worker takes a job up within a second or two.
WAITING_AFTER = 5
# Values of this length fit any column.
_UNBROKEN = 17


@register.filter
def counted(count: int, plural: str) -> str:
    return count_of(int(count or 0), plural)


@register.filter
def noun(plural: str, count: Any) -> str:
    """``count`` may be text: a template's variable."""
    return noun_of(plural, int(count) if str(count).isdigit() else None)


@register.filter
def navigation(request: HttpRequest | str) -> Navigation | None:
    """None before somebody is signed in, and on an error page that has no request."""
    if isinstance(request, HttpRequest) and hasattr(request, "user") and request.user.is_active:
        return build_navigation(request)
    return None


@register.filter
def number(value: Any) -> str:
    """Numbers with thousands separators, words as they are; an empty string for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10 else f"{value:,.1f}"
    return intcomma(value, use_l10n=False) if isinstance(value, int) else str(value)


@register.filter
def percent(share: float | None) -> str:
    """0.614 as “61 %”, 0.004 as “0.4 %”; an empty string for None."""
    if share is None:
        return ""
    whole = 100 * share
    return f"{whole:.0f} %" if whole >= 1 or not whole else f"{whole:.1f} %"


@register.filter
def plain(value: Any) -> str:
    """An id as it is, without separators."""
    return "" if value is None else str(value)


@register.filter
def badge_class(state: Any) -> str:
    return _STATE_CLASS.get(str(state), "mute")


@register.filter
def outcome_class(outcome: Any) -> str:
    """The color of what became of a tracked item."""
    return _OUTCOME_CLASS.get(str(outcome), "mute")


@register.simple_tag
def state_badge(row: Any) -> SafeString:
    """The state of a job, mail or import as a colored word."""
    return format_html(
        '<span class="badge {}">{}</span>', badge_class(row.state), row.get_state_display().lower()
    )


@register.filter
def duration(seconds: float | None) -> str:
    """How long, in at most two units; an empty string for None."""
    if seconds is None:
        return ""
    total = max(0, round(seconds))
    if total < _MINUTE:
        return f"{total} s"
    if total < _HOUR:
        return _two(total, _MINUTE, "min", 1, "s")
    if total < _DAY:
        return _two(total, _HOUR, "h", _MINUTE, "min")
    return _two(total, _DAY, "d", _HOUR, "h")


def _two(total: int, big: int, big_name: str, small: int, small_name: str) -> str:
    rest = total % big // small
    return f"{total // big} {big_name}" + (f" {rest} {small_name}" if rest else "")


@register.filter
def ago(at: datetime.datetime | None) -> SafeString | str:
    """How long since, with the exact time on hover; a date once it is older than a week."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    exact = local.strftime("%-d %B %Y, %H:%M:%S %Z")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="seconds"),
        exact,
        _relative(local),
    )


@register.filter
def ago_by_hour(at: datetime.datetime | None) -> SafeString | str:
    """How long since, of what is known to the hour: what was noted in this one is no older than that."""
    if at is not None and 0 <= (timezone.now() - at).total_seconds() < _HOUR:
        return "this hour"
    return ago(at)


def _relative(local: datetime.datetime) -> str:
    now = timezone.localtime()
    seconds = (now - local).total_seconds()
    if -_MINUTE < seconds < 10:
        return "just now"
    if 0 <= seconds < _MINUTE:
        return f"{seconds:.0f} s ago"
    if 0 <= seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min ago"
    if 0 <= seconds < _DAY:
        return f"{seconds // _HOUR:.0f} h ago"
    if 0 <= seconds < 7 * _DAY:
        days = int(seconds // _DAY)
        return "yesterday" if days == 1 else f"{days} days ago"
    return local.strftime("%-d %b" if local.year == now.year else "%-d %b %Y")


@register.simple_tag
def avatar(initials: str, size: str = "") -> SafeString:
    """Initials in a circle, hidden from screen readers: the name is beside it."""
    return format_html('<span class="av {}" aria-hidden="true">{}</span>', size, str(initials)[:2])


@register.simple_tag
def split_bar(*parts: Any) -> SafeString:
    """A bar of shares with its legend, from triples label, count, part (new, upd, same, warn or bad).

    SVG attributes carry the widths, which a style-src without inline styles allows.
    """
    triples = [(parts[i], int(parts[i + 1] or 0), parts[i + 2]) for i in range(0, len(parts), 3)]
    total = sum(count for _, count, _ in triples) or 1
    spans, at = [], 0.0
    for label, count, part in triples:
        width = 100 * count / total
        spans.append((part, f"{at:.3f}%", f"{width:.3f}%", label, number(count)))
        at += width
    return format_html(
        '<svg class="split" role="img" aria-label="{}">{}</svg><ul class="legend">{}</ul>',
        ", ".join(f"{label} {number(count)}" for label, count, _ in triples),
        format_html_join(
            "",
            '<rect class="part-{}" x="{}" width="{}" height="100%"><title>{}: {}</title></rect>',
            spans,
        ),
        format_html_join(
            "",
            '<li><span class="key part-{}"></span>{} <b>{}</b></li>',
            ((part, label, number(count)) for label, count, part in triples),
        ),
    )


@register.filter
def breakable(text: Any) -> SafeString | str:
    """A long value that may wrap before its “@” and behind its dots, dashes and underscores, not inside a word."""
    value = str(text)
    if len(value) <= _UNBROKEN:
        return value
    pieces = re.split(r"(?=@)|(?<=[._/-])", value)
    return format_html_join(mark_safe("<wbr>"), "{}", ((piece,) for piece in pieces))


@register.filter
def tier_class(tier: Any) -> str:
    """The color of how sure a suggestion is."""
    return {"certain": "ok", "probable": "acc", "possible": "warn"}.get(str(tier), "mute")


@register.filter
def bits(weight: float) -> str:
    """A weight with its sign: "+4.7", "−7.5"."""
    return f"{weight:+.1f}".replace("-", "−")


@register.filter
def day_bars(days: Sequence[tuple[datetime.date, int, int]]) -> list[dict[str, Any]]:
    """Bars of a small chart 140 × 28, from ``(day, merged, not duplicates)``; at least a line for each day."""
    most = max((merged + apart for _, merged, apart in days), default=0) or 1
    bars = []
    for index, (day, merged, apart) in enumerate(days):
        height = max(1, round(28 * (merged + apart) / most))
        title = f"{day.day} {day:%b}: {merged:,} merged, {apart:,} not duplicates"
        bars.append({"x": index * 10, "y": 28 - height, "height": height, "title": title})
    return bars


@register.filter
def label(key: str) -> str:
    """``duplicate_in_file`` as "Duplicate in file"."""
    return str(key).replace("_", " ").capitalize()


@register.filter
def sentence(problem: Any) -> str:
    """A stored problem as one line: its position, if that is known, and its message."""
    if not isinstance(problem, dict):
        return str(problem)
    where = [f"{name} {problem[name]}" for name in ("line", "column", "profile") if problem.get(name)]
    message = problem.get("message") or problem.get("detail") or ""
    return ": ".join(part for part in (", ".join(where), str(message)) if part)


@register.filter
def is_waiting(job: Any) -> bool:
    """Queued for longer than a worker needs to take it up."""
    if job.state != job.State.QUEUED:
        return False
    since = max(at for at in (job.wake_at, job.progress_at) if at)
    return bool((timezone.now() - since).total_seconds() > WAITING_AFTER)
