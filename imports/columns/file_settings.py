"""A mapping and sample rows → how dates and phone numbers of the whole file are written, where the cells settle it. Pure."""

from collections.abc import Iterable, Sequence
from functools import partial

from imports.columns.dates import has_no_year, needs_order, order_of
from imports.columns.guess import column_values, share_of
from imports.columns.headers import meaning_of
from imports.columns.mapping import ColumnMapping, Mapping
from imports.columns.targets import BIRTHDAY, COUNTRY_OF_ROW, WITHOUT_PLUS, Context
from profiles.identity.normalize import BadValue, country, is_valid_phone, phone

_SAMPLE = 500  # numbers looked up; each costs some microseconds
_MOST, _CLOSE = 0.5, 0.1
_WITH_CODE = 10  # digits of a number with its country code; nearly every one has so many


def guess_settings(mapping: Mapping, rows: Sequence[Sequence[str]], context: Context) -> dict[str, str]:
    """`date_order` and `phone_country`, each only where the cells show it."""
    settings = {
        "date_order": order_of(date_cells(mapping, rows, context)),
        "phone_country": _phone_country(mapping, rows, context),
    }
    return {name: value for name, value in settings.items() if value}


def has_open_dates(mapping: Mapping, rows: Sequence[Sequence[str]], context: Context) -> bool:
    """Whether somebody has to say if day or month comes first."""
    return not context.date_order and needs_order(date_cells(mapping, rows, context))


def open_phones(mapping: Mapping, rows: Sequence[Sequence[str]], context: Context) -> int:
    """How many numbers of the sample nobody can read before it is known where they are at home."""
    where, _, home = context.phone_country.partition(":")
    if context.region or home or where not in ("", COUNTRY_OF_ROW):
        return 0
    column = _country_column(mapping) if where else None
    return sum(not _home(row, column, "") for _, row in _without_code(_phones(mapping, rows)))


def needs_birthday(headers: Sequence[str], rows: Sequence[Sequence[str]], context: Context) -> bool:
    """Whether a column of birth dates has some without a year."""
    return any(
        meaning_of(header, context).to == "birth_date" and any(map(has_no_year, column_values(rows, index)))
        for index, header in enumerate(headers)
    )


def date_cells(mapping: Mapping, rows: Sequence[Sequence[str]], context: Context) -> list[str]:
    """The cells of all columns that dates are read from."""
    columns = [column for column in mapping.used if column.index is not None and _is_date(column, context)]
    return [value for column in columns for value in column_values(rows, column.index or 0)]


def _is_date(column: ColumnMapping, context: Context) -> bool:
    target = column.target
    if target.kind == "attribute":
        spec = context.attribute_by_name[target.name]
        return spec.type in ("date", "datetime") or spec.name == BIRTHDAY
    return target.name == "birth_date" or target.part in ("at", "withdrawn_at")


def _phones(mapping: Mapping, rows: Sequence[Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    """(cell, row) of the phone columns."""
    indexes = [column.index for column in mapping.used if column.target.identifier == "phone"]
    return [
        (row[index].strip(), row)
        for index in indexes
        if index is not None
        for row in rows
        if index < len(row) and row[index].strip()
    ]


def _without_code(phones: Iterable[tuple[str, Sequence[str]]]) -> list[tuple[str, Sequence[str]]]:
    return [
        (value, row)
        for value, row in phones
        if not value.removeprefix("'").lstrip("( ").startswith(("+", "00"))
    ][:_SAMPLE]


def _phone_country(mapping: Mapping, rows: Sequence[Sequence[str]], context: Context) -> str:
    """The reading in which most numbers without a country code exist; "" is the installation's own country."""
    phones = _without_code(_phones(mapping, rows))
    if not phones:
        return ""
    column = _country_column(mapping)
    here = _score((value, context.region) for value, _ in phones) if context.region else 0.0
    by_row = _score((value, _home(row, column, context.region)) for value, row in phones) if column else 0.0
    bare = [value.removeprefix("'") for value, _ in phones]
    plus = _score(("+" + value, "") for value in bare if value.isdigit() and len(value) >= _WITH_CODE)
    if (
        plus >= _MOST
        and plus * len([value for value in bare if len(value) >= _WITH_CODE]) / len(bare)
        > max(here, by_row) - _CLOSE
    ):
        return WITHOUT_PLUS
    if column is None or by_row < here or not by_row:
        return ""
    homes = {_home(row, column, "") for row in rows} - {""}
    return f"{COUNTRY_OF_ROW}:{homes.pop()}" if len(homes) == 1 and not context.region else COUNTRY_OF_ROW


def _score(numbers: Iterable[tuple[str, str]]) -> float:
    """From 0 (none can be read) to 1 (all exist); a number that only could exist counts for half."""
    found = [
        (is_valid_phone(value, region) + (share_of([value], partial(phone, region=region)) > 0)) / 2
        for value, region in numbers
    ]
    return sum(found) / len(found) if found else 0.0


def _country_column(mapping: Mapping) -> ColumnMapping | None:
    return next((column for column in mapping.used if column.target.name == "country"), None)


def _home(row: Sequence[str], column: ColumnMapping | None, otherwise: str) -> str:
    if column is None:
        return otherwise
    raw = column.const or (row[column.index] if column.index is not None and column.index < len(row) else "")
    try:
        return country(raw) if raw.strip() else otherwise
    except BadValue:
        return otherwise
