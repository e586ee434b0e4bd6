"""A span of time of a rule and a column with a moment → whether it counts, whether it still may, and what changes that next, in SQL."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from sqlglot import exp

from segments.moments import Moment, Window
from segments.query import RuleQuery, Sql, both, compare, either, fragment

NO_TIME = datetime.timedelta()


def counts(query: RuleQuery, window: Window, at: str) -> Sql:
    """Whether what happened at the column ``at`` is in the window, as of the moment."""
    return both([may_count(query, window, at), is_not_after(query, window, at)])


def is_not_after(query: RuleQuery, window: Window, at: str) -> Sql:
    """Whether what happened at the column ``at`` is not after the window."""
    end = query.moment(lambda moment: window.bounds(moment).end)
    if not (window.before or window.calendar):
        return compare(fragment(at), "lte", end)
    is_open = query.moment(lambda moment: window.bounds(moment).before_end, "boolean")
    inclusive = both([fragment("NOT {open}", open=is_open), compare(fragment(at), "lte", end)])
    return either([compare(fragment(at), "lt", end.copy()), inclusive])


def may_count(query: RuleQuery, window: Window, at: str, *, earlier: datetime.timedelta = NO_TIME) -> Sql:
    """In the window, or still to come into it; or up to ``earlier`` before its beginning."""
    if not (window.last or window.after or window.calendar):
        return exp.true()

    def start(moment: Moment) -> datetime.datetime | None:
        begins = window.bounds(moment).start
        return begins - earlier if begins else None

    return compare(fragment(at), "gt" if window.last else "gte", query.moment(start))


def changes(window: Window) -> list[datetime.timedelta]:
    """How long after it happened something begins and ceases to count."""
    begins, ends = window.offsets
    return [begins] if ends is None else [begins, ends]


def upcoming(query: RuleQuery, at: str, delta: datetime.timedelta = NO_TIME) -> Sql:
    """The column ``at`` so much later, if that is still to come; else null."""
    later = fragment(f"{at} + {{delta}}", delta=query.value(delta, "interval")) if delta else fragment(at)
    return fragment("CASE WHEN {later} > {now} THEN {later} END", later=later, now=query.now)


def is_upcoming(query: RuleQuery, at: str, delta: datetime.timedelta) -> Sql:
    """Whether the column ``at`` so much later is still to come, in a form that an index on it answers."""
    return compare(fragment(at), "gt", query.moment(lambda moment: moment.now - delta))


def earliest(moments: Sequence[Sql]) -> Sql:
    """The earliest of them that is not null; null where all are."""
    return (
        moments[0]
        if len(moments) == 1
        else exp.Least(this=moments[0], expressions=list(moments[1:]), ignore_nulls=True)
    )


def next_change(query: RuleQuery, window: Window, at: str, until: str = "") -> Sql:
    """The next moment at which time changes whether ``at`` counts; null where none is to come.

    ``until``: the column with the end of what lasts from ``at`` until then, null while it does.
    """
    begins, ends = window.offsets
    moments = [upcoming(query, at, begins)]
    return earliest(moments if ends is None else [*moments, upcoming(query, until or at, ends)])


def happened(query: RuleQuery, rows: tuple[str, str], where: Sequence[Sql], window: Window, at: str) -> Sql:
    """“The profile has such a row in the window”, and when to look again.

    ``rows`` as ``RuleQuery.rows_of_members`` gives them.
    """
    table, root = rows
    if not query.with_next:
        conditions = both([*where, counts(query, window, at), query.scope])
        select = fragment(f"SELECT {root} AS id FROM {table} WHERE {{where}}", where=conditions)
        return query.among(query.subquery(select))
    text = (
        f"SELECT {root} AS id, count(*) FILTER (WHERE {{counts}}) AS n, min({{next}}) AS next"
        f" FROM {table} WHERE {{where}} GROUP BY 1"
    )
    select = fragment(
        text,
        where=both([*where, may_count(query, window, at), query.scope]),
        counts=counts(query, window, at),
        next=next_change(query, window, at),
    )
    name = query.subquery(select)
    query.may_change(name)
    return query.among(name, fragment(f"{name}.n > 0"))
