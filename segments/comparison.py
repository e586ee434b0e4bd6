"""An operator and what to compare with → yes or no for a value of a type, in SQL and in Python, and words.

A value somebody does not have, or that does not fit the type, satisfies no comparison: “is not Poland” means known and
different. Whoever wants the unknown ones too writes *not* around “is Poland”.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from segments.moments import UNITS, Duration, Moment, read_duration
from segments.nodes import Node
from segments.query import RuleQuery, Sql, both, compare, fragment, surely
from segments.values import as_number, as_text, fold

TEXT, NUMBER, BOOLEAN, DATE, DATETIME = "text", "number", "boolean", "date", "datetime"
MOST_VALUES = 1_000
_PLAIN = {"eq": "is", "ne": "is known and not", "in": "is one of", "not_in": "is known and none of"}
_ORDER = {"gt": "is more than", "gte": "is at least", "lt": "is less than", "lte": "is at most"}
_ORDER_OF_TIMES = {
    "gt": "is after",
    "after": "is after",
    "gte": "is on or after",
    "lt": "is before",
    "before": "is before",
    "lte": "is on or before",
}
_SPAN = {"in_last": "is in the last", "in_next": "is in the next"}
# What can be asked of each type, in the order of the builder's list, with its words.
OPERATORS: dict[str, dict[str, str]] = {
    TEXT: {
        **_PLAIN,
        "contains": "contains",
        "not_contains": "is known and does not contain",
        "starts": "begins with",
        "ends": "ends with",
    },
    NUMBER: {**_PLAIN, **_ORDER, "between": "is between"},
    BOOLEAN: {"eq": "is"},
    DATE: {
        "eq": "is",
        "ne": "is known and not",
        **_ORDER_OF_TIMES,
        "between": "is between",
        **_SPAN,
        "anniversary": "has its day of the year",
    },
    DATETIME: {**_ORDER_OF_TIMES, "between": "is between", **_SPAN},
}
_SYMBOLS = {"after": "gt", "before": "lt"}
# What ``segments_date`` and ``segments_time`` read; Python alone would read more, and PostgreSQL as well.
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
    r"(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])",
    re.ASCII,
)
_LONGEST_DAYS = 366


@dataclass(frozen=True, slots=True)
class Comparison:
    """``kind`` is the type of the value; ``values`` are of that type, or one Duration for the operators about spans."""

    kind: str
    op: str
    values: tuple[Any, ...]
    exactly: bool = False

    # --- Python -------------------------------------------------------------------------------------------

    def holds(self, value: Any, moment: Moment) -> bool:
        """For a value as it is stored, or as JSON holds it; None, and what does not fit, satisfies nothing."""
        clean = read_value(self.kind, value)
        if clean is None:
            return False
        if self.kind == TEXT:
            return self._text_holds(clean)
        if self.op in _SPAN or self.op == "anniversary":
            return self._span_holds(clean, moment)
        first = self.values[0]
        match _SYMBOLS.get(self.op, self.op):
            case "eq":
                return bool(clean == first)
            case "ne":
                return bool(clean != first)
            case "in":
                return clean in self.values
            case "not_in":
                return clean not in self.values
            case "between":
                return bool(first <= clean <= self.values[1])
            case "gt":
                return bool(clean > first)
            case "gte":
                return bool(clean >= first)
            case "lt":
                return bool(clean < first)
            case "lte":
                return bool(clean <= first)
        raise ValueError(self.op)

    def _text_holds(self, text: str) -> bool:
        have = text if self.exactly else fold(text)
        wanted = self._folded
        match self.op:
            case "eq" | "in":
                return have in wanted
            case "ne" | "not_in":
                return have not in wanted
            case "contains":
                return wanted[0] in have
            case "not_contains":
                return wanted[0] not in have
            case "starts":
                return have.startswith(wanted[0])
            case "ends":
                return have.endswith(wanted[0])
        raise ValueError(self.op)

    @property
    def _folded(self) -> tuple[str, ...]:
        return self.values if self.exactly else tuple(fold(value) for value in self.values)

    def _span_holds(self, value: Any, moment: Moment) -> bool:
        if self.op == "anniversary":
            return f"{value:%m-%d}" in anniversaries(moment.today, self.values[0].amount)
        if self.kind == DATE:
            first, last = self._days(moment)
            return bool(first <= value <= last)
        # Half-open both ways, so that what is to come ceases to be the moment it becomes past.
        start, end = self._times(moment)
        return bool(start < value <= end)

    def _days(self, moment: Moment) -> tuple[datetime.date, datetime.date]:
        days = datetime.timedelta(days=self.values[0].amount)
        today = moment.today
        return (
            (today - days + datetime.timedelta(days=1), today)
            if self.op == "in_last"
            else (today, today + days)
        )

    def _times(self, moment: Moment) -> tuple[datetime.datetime, datetime.datetime]:
        delta = self.values[0].delta
        return (moment.now - delta, moment.now) if self.op == "in_last" else (moment.now, moment.now + delta)

    def breakpoints(self, value: Any) -> Sequence[datetime.datetime]:
        """When time alone may change the answer for this value; of dates the day does, see ``is_calendar``."""
        clean = read_value(self.kind, value)
        if not self.is_timed or clean is None:
            return ()
        delta = self.values[0].delta
        try:
            return (clean, clean + delta) if self.op == "in_last" else (clean - delta, clean)
        except OverflowError:
            return (clean,)  # beyond the years there are

    @property
    def is_timed(self) -> bool:
        """Whether time alone, at moments of the value's own, changes the answer."""
        return self.kind == DATETIME and self.op in _SPAN

    @property
    def is_calendar(self) -> bool:
        """Whether the day, in the zone of the workspace, changes the answer."""
        return self.kind == DATE and (self.op in _SPAN or self.op == "anniversary")

    # --- SQL ----------------------------------------------------------------------------------------------

    def sql(self, query: RuleQuery, left: Sql) -> Sql:
        """``left`` is of the type (text, numeric, boolean, date, timestamptz); unknown where it is null."""
        if self.kind == TEXT:
            return self._text_sql(query, left)
        if self.op == "anniversary":
            amount = self.values[0].amount
            days = query.moment(lambda moment: anniversaries(moment.today, amount), "text[]")
            return fragment("to_char({left}, 'MM-DD') = ANY({days})", left=left, days=days)
        if self.op in _SPAN:
            return self._span_sql(query, left)
        kind = _SQL_TYPES[self.kind]
        if self.op in ("in", "not_in"):
            values = query.value(list(self.values), f"{kind}[]")
            word = "= ANY" if self.op == "in" else "<> ALL"
            return fragment(f"{{left}} {word}({{values}})", left=left, values=values)
        if self.op == "between":
            low, high = (query.value(value, kind) for value in self.values)
            return both([compare(left, "gte", low), compare(left.copy(), "lte", high)])
        return compare(left, _SYMBOLS.get(self.op, self.op), query.value(self.values[0], kind))

    def _text_sql(self, query: RuleQuery, left: Sql) -> Sql:
        if self.op in ("eq", "in"):
            return self._same_text(query, left)
        if self.op in ("ne", "not_in"):
            return fragment("NOT {same}", same=self._same_text(query, left))
        have = left if self.exactly else fragment("segments_fold({left})", left=left)
        wanted = query.value(self._folded[0], "text")
        texts = {
            "contains": "strpos({have}, {wanted}) > 0",
            "not_contains": "strpos({have}, {wanted}) = 0",
            "starts": "left({have}, length({wanted})) = {wanted}",
            "ends": "right({have}, length({wanted})) = {wanted}",
        }
        return fragment(texts[self.op], have=have, wanted=wanted)

    def _same_text(self, query: RuleQuery, left: Sql) -> Sql:
        """Any of the values. Whatever is plain ASCII needs no more than small letters; the rest is folded."""
        values = query.value(list(self._folded), "text[]")
        if self.exactly:
            return fragment("{left} = ANY({values})", left=left, values=values)
        return fragment(
            "lower({left}) = ANY({values})"
            " OR (octet_length({left}) <> length({left}) AND segments_fold({left}) = ANY({values}))",
            left=left,
            values=values,
        )

    def _span_sql(self, query: RuleQuery, left: Sql) -> Sql:
        if self.kind == DATE:
            first = query.moment(lambda moment: self._days(moment)[0], "date")
            last = query.moment(lambda moment: self._days(moment)[1], "date")
            return both([compare(left, "gte", first), compare(left.copy(), "lte", last)])
        start = query.moment(lambda moment: self._times(moment)[0])
        end = query.moment(lambda moment: self._times(moment)[1])
        return both([compare(left, "gt", start), compare(left.copy(), "lte", end)])

    def next_sql(self, query: RuleQuery, left: Sql) -> Sql:
        """The next breakpoint of a moment, as a timestamptz; null where none is to come. Spans of moments alone."""
        delta = self.values[0].seconds
        shift = delta if self.op == "in_last" else -delta
        later = query.value(datetime.timedelta(seconds=shift), "interval")
        earlier, last = ("{left}", "{left} + {later}") if shift > 0 else ("{left} + {later}", "{left}")
        text = f"CASE WHEN {earlier} > {{now}} THEN {earlier} WHEN {last} > {{now}} THEN {last} END"
        return fragment(text, left=left, later=later, now=query.now)

    def of_profile_sql(self, query: RuleQuery, left: Sql) -> Sql:
        """``sql`` for a value in the profile's own row, two-valued, and when to look again."""
        if self.kind == DATETIME and self.op in _SPAN and query.with_next:
            next_look = fragment("{next} AS next", next=self.next_sql(query, left))
            query.may_change(query.subquery(query.everybody("p.id AS id", next_look)))
        return surely(self.sql(query, left))

    # --- Words --------------------------------------------------------------------------------------------

    @property
    def json(self) -> dict[str, Any]:
        """``op`` and ``value`` as a rule has them."""
        value: Any
        if self.op in _SPAN or self.op == "anniversary":
            value = self.values[0].json
        elif self.op in ("in", "not_in", "between"):
            value = [_json_value(item) for item in self.values]
        else:
            value = _json_value(self.values[0])
        return {"op": self.op, "value": value, **({"exactly": True} if self.exactly else {})}

    @property
    def words(self) -> str:
        """“is Poland or Germany”, “is more than 20”, “is in the last 7 days”."""
        word = OPERATORS[self.kind][self.op]
        if self.op == "anniversary":
            days = self.values[0].amount
            return f"{word} today" if not days else f"{word} within {self.values[0].words}"
        if self.op in _SPAN:
            return f"{word} {self.values[0].words}"
        shown = [_shown(value) for value in self.values]
        if self.op == "between":
            return f"{word} {shown[0]} and {shown[1]}"
        listed = ", ".join(shown[:-1]) + " or " + shown[-1] if len(shown) > 1 else shown[0]
        return f"{word} {listed}" + (" exactly" if self.exactly else "")


_SQL_TYPES = {
    TEXT: "text",
    NUMBER: "numeric",
    BOOLEAN: "boolean",
    DATE: "date",
    DATETIME: "timestamptz",
}


def anniversaries(today: datetime.date, days: int) -> list[str]:
    """The days of the year (``MM-DD``) from today for so many days; 29 February is on the 28th in other years."""
    found = []
    for ahead in range(min(days, _LONGEST_DAYS) + 1):
        day = today + datetime.timedelta(days=ahead)
        found.append(f"{day:%m-%d}")
        if (day.month, day.day) == (2, 28) and not _is_leap(day.year):
            found.append("02-29")
    return sorted(set(found))


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def read_value(kind: str, value: Any) -> Any:
    """A stored or JSON value as the type; None where it does not fit."""
    if kind == TEXT:
        return as_text(value)
    if kind == NUMBER:
        return as_number(value)
    if kind == BOOLEAN:
        return value if isinstance(value, bool) else None
    if kind == DATE:
        return _as_date(value)
    return _as_moment(value)


def _as_date(value: Any) -> datetime.date | None:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    try:
        return (
            datetime.date.fromisoformat(value) if isinstance(value, str) and _DATE.fullmatch(value) else None
        )
    except ValueError:
        return None


def _as_moment(value: Any) -> datetime.datetime | None:
    if isinstance(value, datetime.datetime):
        return value
    try:
        moment = (
            datetime.datetime.fromisoformat(value)
            if isinstance(value, str) and _MOMENT.fullmatch(value)
            else None
        )
        return moment.astimezone(datetime.UTC) if moment else None
    except (ValueError, OverflowError):
        return None


# --- Reading ------------------------------------------------------------------------------------------------


def read_comparison(node: Node, kind: str) -> Comparison:
    """``op``, ``value`` and, of texts, ``exactly``. ``eq`` where no operator is given. Raises Invalid."""
    op = node.choice("op", tuple(OPERATORS[kind]), default="eq")
    exactly = node.flag("exactly")
    if exactly and kind != TEXT:
        node.refuse("exactly", "Only texts are compared exactly or not.")
    if op in _SPAN or op == "anniversary":
        return Comparison(kind, op, (_read_span(node, kind, op),))
    raw = node.raw.get("value")
    if op not in ("in", "not_in", "between"):
        return Comparison(kind, op, (_read_typed(node, kind, raw),), exactly)
    if not isinstance(raw, list) or not raw:
        node.refuse("value", "Write a list of values.")
    if len(raw) > MOST_VALUES:
        node.refuse("value", f"At most {MOST_VALUES:,} values; this has {len(raw):,}.")
    values = tuple(_read_typed(node, kind, part) for part in raw)
    if op == "between" and (len(values) != 2 or values[0] > values[1]):
        node.refuse("value", "Write two values, the smaller one first.")
    return Comparison(kind, op, values, exactly)


def _read_span(node: Node, kind: str, op: str) -> Duration:
    span = node.child("value")
    if kind == DATE:
        span.only("days")
        least = 0 if op in ("anniversary", "in_next") else 1
        most = _LONGEST_DAYS if op == "anniversary" else 36_600
        return Duration(span.whole("days", least=least, most=most), "days")
    return read_duration(span, most_seconds=100 * 366 * UNITS["days"])


def _read_typed(node: Node, kind: str, raw: Any) -> Any:
    if kind == TEXT:
        return Node({"value": raw}, node.pointer).text("value")
    if kind == NUMBER:
        return as_number(node.as_number("value", raw))
    if kind == BOOLEAN:
        if not isinstance(raw, bool):
            node.refuse("value", "Write true or false.")
        return raw
    return node.date("value", raw) if kind == DATE else node.as_moment("value", raw)


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, datetime.date) else value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value.normalize():,f}"
    if isinstance(value, datetime.datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return f"{value:%Y-%m-%d}" if isinstance(value, datetime.date) else f"“{value}”"
