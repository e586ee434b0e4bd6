"""Dates as spreadsheets write them (31.12.1990, 12/31/90) and an order of day and month → ISO text; the order from a column. Pure."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from profiles.identity.text import BadValue

DAY_FIRST, MONTH_FIRST = "dmy", "mdy"
ORDERS = {DAY_FIRST: "The day comes first: 31/12/1990", MONTH_FIRST: "The month comes first: 12/31/1990"}

_NUMERIC = re.compile(
    r"([0-9]{1,2})([./-]) ?([0-9]{1,2})\2 ?([0-9]{4}|[0-9]{2})(?: r\.)?(?:[T, ]+([0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?)(?: ?([AaPp])\.?[Mm]\.?)?)?",
    re.ASCII,
)
_YEAR_FIRST = re.compile(r"([0-9]{4})([./-])([0-9]{1,2})\2([0-9]{1,2})((?:[T ].*)?)", re.ASCII | re.DOTALL)
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NO_YEAR = re.compile(r"(?:(--)([0-9]{1,2})-?([0-9]{2})|([0-9]{1,2})([./-])([0-9]{1,2})\.?)", re.ASCII)
_NOTHING = re.compile(r"0{1,2}[./-]0{1,2}[./-](?:00|0000)|0000-00-00(?:[T ]00:00:00)?", re.ASCII)

AMBIGUOUS = "Day or month first? Say for the whole file which comes first in its dates (option date_order: dmy or mdy)."
_NOT_IN_ORDER = {
    DAY_FIRST: "Not a date with the day first, as the other dates of this file.",
    MONTH_FIRST: "Not a date with the month first, as the other dates of this file.",
}


class NoYear(BadValue):
    """A birthday without a year; `month_day` is MM-DD."""

    def __init__(self, month_day: str) -> None:
        super().__init__(
            "A birthday without a year is no birth date. Create a text attribute “birthday” to keep month and day."
        )
        self.month_day = month_day


def date_reader(order: str) -> Callable[[str], str]:
    """A function from a cell to ISO text (`1990-12-31`, `1990-12-31T08:05`), "" for 0.0.00, else the cell as it came.

    Dots mean that the day comes first, as wherever people write them. For the rest `order` says it; without one, a
    number above 12 does, and a date that can be read both ways is refused.
    """

    def read(raw: str) -> str:
        value = raw.strip()
        if _ISO.match(value):
            return "" if value.startswith("0000") and _NOTHING.fullmatch(value) else value
        value = value.removeprefix("'").strip()
        if match := _NUMERIC.fullmatch(value):
            if _NOTHING.fullmatch(value):
                return ""
            first, mark, second, year, time, half = match.groups()
            month, day = _month_day(int(first), int(second), mark, order)
            return f"{_full_year(year)}-{month:02}-{day:02}{_time(time, half)}"
        if match := _YEAR_FIRST.fullmatch(value):
            year, _, month_text, day_text, rest = match.groups()
            return f"{year}-{int(month_text):02}-{int(day_text):02}{rest}"
        if match := _NO_YEAR.fullmatch(value):
            raise NoYear(_without_year(match, order))
        return value

    return read


def month_day_reader(order: str) -> Callable[[str], str]:
    """A function from a birthday, with a year or without, to MM-DD; "" for 0/0/00. Raises `BadValue`."""
    read = date_reader(order)

    def month_day(raw: str) -> str:
        try:
            value = read(raw)
        except NoYear as found:
            return found.month_day
        if not value:
            return ""
        if re.fullmatch(r"[0-9]{2}-[0-9]{2}", value):
            return value
        try:
            return datetime.fromisoformat(value[:10]).strftime("%m-%d")
        except ValueError:
            raise BadValue("Not a birthday. Write month and day, for example 02-28.") from None

    return month_day


def _month_day(first: int, second: int, mark: str, order: str) -> tuple[int, int]:
    if mark == "." and second <= 12:
        return second, first
    if not order:
        if first <= 12 and second <= 12 and first != second:
            raise BadValue(AMBIGUOUS)
        order = MONTH_FIRST if second > 12 else DAY_FIRST
    month, day = (second, first) if order == DAY_FIRST else (first, second)
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        raise BadValue(_NOT_IN_ORDER[order])
    return month, day


def _without_year(match: re.Match[str], order: str) -> str:
    dashes, iso_month, iso_day, first, mark, second = match.groups()
    month, day = (
        (int(iso_month), int(iso_day))
        if dashes
        else _month_day(int(first), int(second), mark, MONTH_FIRST if mark == "-" else order)
    )
    try:
        datetime(2000, month, day)  # a leap year
    except ValueError:
        raise BadValue("Not a day of the year. Write month and day, for example 02-28.") from None
    return f"{month:02}-{day:02}"


def _full_year(year: str) -> str:
    """85 is 1985: two digits are the latest such year that is not in the future."""
    if len(year) == 4:
        return year
    now = datetime.now(UTC).year
    full = now // 100 * 100 + int(year)
    return str(full if full <= now else full - 100)


def _time(time: str | None, half: str | None) -> str:
    if time is None:
        return ""
    hour, _, rest = time.partition(":")
    number = int(hour)
    if half:
        number = number % 12 + (12 if half in "Pp" else 0)
    return f"T{number:02}:{rest}"


# --- The order ----------------------------------------------------------------------------------------


def order_of(values: Iterable[str]) -> str:
    """dmy or mdy where the values settle it: one has a number above 12 first, or second, and none speaks against it."""
    day_first = month_first = False
    for first, second in _unclear(values):
        day_first |= first > 12
        month_first |= second > 12
    if day_first == month_first:
        return ""
    return DAY_FIRST if day_first else MONTH_FIRST


def needs_order(values: Iterable[str]) -> bool:
    """Whether some value can be read both ways."""
    return any(first <= 12 and second <= 12 and first != second for first, second in _unclear(values))


def looks_like_date(value: str) -> bool:
    value = value.strip()
    return bool(_ISO.match(value) or _NUMERIC.fullmatch(value) or _YEAR_FIRST.fullmatch(value))


def has_no_year(value: str) -> bool:
    return bool(_NO_YEAR.fullmatch(value.strip().removeprefix("'").strip()))


def _unclear(values: Iterable[str]) -> Iterable[tuple[int, int]]:
    """(first, second) of those whose order is open: not with dots, not year first, not 0/0/00."""
    for raw in values:
        value = raw.strip().removeprefix("'").strip()
        if match := _NUMERIC.fullmatch(value):
            first, mark, second = match[1], match[2], match[3]
        elif (match := _NO_YEAR.fullmatch(value)) and not match[1] and match[5] == "/":
            first, mark, second = match[4], match[5], match[6]
        else:
            continue
        if mark != "." and int(first) and int(second):
            yield int(first), int(second)
