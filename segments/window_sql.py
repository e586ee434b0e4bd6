"""A span of time and the column of a moment → in SQL: that it counts, and when time alone changes whether it does."""

from __future__ import annotations

from collections.abc import Sequence

from segments.moments import Window
from segments.query import RuleQuery, Sql, both, compare, either, fragment


def counts_sql(query: RuleQuery, window: Window, at: str) -> Sql:
    """Whether ``at`` is in the window, as of the moment of the evaluation."""
    parts = []
    if window.last or window.after or window.calendar:
        start = query.moment(lambda moment: window.bounds(moment).start)
        parts.append(compare(fragment(at), "gt" if window.last else "gte", start))
    parts.append(before_end_sql(query, window, at))
    return both(parts)


def before_end_sql(query: RuleQuery, window: Window, at: str) -> Sql:
    """Whether ``at`` is not after the window."""
    end = query.moment(lambda moment: window.bounds(moment).end)
    if not (window.before or window.calendar):
        return compare(fragment(at), "lte", end)
    ends_open = query.moment(lambda moment: window.bounds(moment).before_end, "boolean")
    inclusive = both([fragment("NOT {open}", open=ends_open), compare(fragment(at), "lte", end)])
    return either([compare(fragment(at), "lt", end.copy()), inclusive])


def may_count_sql(query: RuleQuery, window: Window, at: str) -> Sql:
    """In the window, or still to come into it: what a subquery with ``next`` reads."""
    if not (window.last or window.after or window.calendar):
        return fragment("TRUE")
    start = query.moment(lambda moment: window.bounds(moment).start)
    return compare(fragment(at), "gt" if window.last else "gte", start)


def next_sql(query: RuleQuery, window: Window, at: str, until: str = "") -> Sql:
    """The next moment at which time changes whether ``at`` counts; null where none is to come.

    ``until``: of what lasts from ``at`` until then, null while it does.
    """
    begins, ends = window.offsets
    start = fragment(f"{at} + {{delta}}", delta=query.value(begins, "interval")) if begins else fragment(at)
    if ends is None:
        return fragment("CASE WHEN {start} > {now} THEN {start} END", start=start, now=query.now)
    return fragment(
        f"CASE WHEN {{start}} > {{now}} THEN {{start}} WHEN {until or at} + {{ends}} > {{now}}"
        f" THEN {until or at} + {{ends}} END",
        start=start,
        now=query.now,
        ends=query.value(ends, "interval"),
    )


def happened_sql(
    query: RuleQuery, rows: tuple[str, str], where: Sequence[Sql], window: Window, at: str
) -> Sql:
    """“The profile has such a row in the window”, and when to look again.

    ``rows`` as ``RuleQuery.rows_of_members`` gives them.
    """
    table, root = rows
    if not query.with_next:
        conditions = both([*where, counts_sql(query, window, at), query.scope])
        select = fragment(f"SELECT {root} AS id FROM {table} WHERE {{where}}", where=conditions)
        return query.among(query.subquery(select))
    text = (
        f"SELECT {root} AS id, count(*) FILTER (WHERE {{counts}}) AS n, min({{next}}) AS next"
        f" FROM {table} WHERE {{where}} GROUP BY 1"
    )
    select = fragment(
        text,
        where=both([*where, may_count_sql(query, window, at), query.scope]),
        counts=counts_sql(query, window, at),
        next=next_sql(query, window, at),
    )
    name = query.subquery(select)
    query.may_change(name)
    return query.among(name, fragment(f"{name}.n > 0"))
