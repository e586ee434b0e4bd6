"""A mapping and sample rows → what to point out before planning. Only what looks like a consent stops the import."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from cdp.plurals import counted
from imports.columns.clean import Cleaner
from imports.columns.consent_headers import guess_consents
from imports.columns.file_settings import has_open_dates, open_phones
from imports.columns.guess import column_values, share_of
from imports.columns.mapping import ColumnMapping, Mapping
from imports.columns.separators import SEPARATORS, tag_separator
from imports.columns.targets import COUNTRY_OF_ROW, FILL, REJECT_ROW, Context, Target
from imports.files.dialect import Row
from profiles.identity.hidden_ids import is_of_somebody_else, type_of_name
from profiles.identity.normalize import email, phone
from profiles.identity.presets import CUSTOMER

_LIKE_IDENTIFIER, _FITS = 0.9, 0.5
_MIN_VALUES, _OFTEN = 3, 5


class Advice(NamedTuple):
    """`column` "" is the mapping as a whole; `suggestion` is a `to` that would settle it, "" for none."""

    code: str
    column: str
    message: str
    suggestion: str = ""


def advise(mapping: Mapping, samples: Sequence[Sequence[str]], context: Context) -> list[Advice]:
    """From a few rows or many: `samples` are rows of cells, as many as are at hand."""
    advice: list[Advice] = []
    if not any(context.identifier_by_name[name].is_unique for name in mapping.identifiers):
        advice.append(
            Advice(
                "no_identifier",
                "",
                "No column identifies people: every row creates a new profile, and importing the file again creates "
                "them again. Map an e-mail or a customer_id if the file has one.",
            )
        )
    advice += _consents_left_out(mapping, samples)
    advice += _left_out(mapping, samples)
    advice += _file_settings(mapping, samples, context)
    for column in mapping.columns:
        if column.index is None:
            continue
        advice += _other_separator(column, samples)
        index = column.index
        values = [row[index].strip() for row in samples if index < len(row) and row[index].strip()]
        advice += _hidden_identifier(column.key, column.target, values, mapping, context)
        if len(values) >= _MIN_VALUES:
            advice += _wrong_kind(column.key, column.target, values, context)
            advice += _shared(column, values, context)
    return advice


def ignored_consents(
    mapping: Mapping, samples: Sequence[Sequence[str]], *, confirmed: bool = False
) -> dict[int, str]:
    """index → the target to suggest ("" for none), of columns that look like consents and go nowhere.

    Without those that somebody confirmed, unless `confirmed`.
    """
    by_index = {column.index: column for column in mapping.columns if column.index is not None}
    columns = [column_values(samples, index) for index in range(len(mapping.headers))]
    used = {index: column.target.to for index, column in by_index.items() if column.target.kind != "ignore"}
    constants = {
        -1 - number: column.target.to for number, column in enumerate(mapping.columns) if column.index is None
    }
    guess = guess_consents(mapping.headers, columns, used | constants, mapping.consents)
    looking = {index: str(guess.entries[index]["to"]) for index in guess.entries} | dict.fromkeys(
        guess.open, ""
    )
    return {
        index: to
        for index, to in sorted(looking.items())
        if confirmed or not (index in by_index and by_index[index].is_confirmed)
    }


def _consents_left_out(mapping: Mapping, samples: Sequence[Sequence[str]]) -> list[Advice]:
    return [
        Advice(
            "consent_left_out",
            mapping.headers[index],
            f"Column {mapping.headers[index]} looks like a consent but is left out: whoever said no there would still "
            "be written to. Choose where it goes, or confirm that it is left out.",
            to,
        )
        for index, to in ignored_consents(mapping, samples).items()
    ]


def _left_out(mapping: Mapping, samples: Sequence[Sequence[str]]) -> list[Advice]:
    used = {column.index for column in mapping.used}
    left = [
        header or f"Column {index + 1}"
        for index, header in enumerate(mapping.headers)
        if index not in used and column_values(samples, index)
    ]
    if not left:
        return []
    are = "column with data is" if len(left) == 1 else "columns with data are"
    return [Advice("columns_left_out", "", f"{len(left)} {are} left out: {', '.join(left)}.")]


def _file_settings(mapping: Mapping, samples: Sequence[Sequence[str]], context: Context) -> list[Advice]:
    advice = []
    if has_open_dates(mapping, samples, context):
        message = (
            "Dates like 03/04/1985 can be read in two ways. Say whether the day or the month comes first; until then "
            "such cells are left out and listed."
        )
        advice.append(Advice("date_order", "", message))
    if count := open_phones(mapping, samples, context):
        numbers = "1 phone number has" if count == 1 else f"{count:,} phone numbers have"
        message = f"{numbers} no country code. Say which country they are from; until then they are left out and listed."
        advice.append(Advice("phone_country", "", message))
    return advice


def _other_separator(column: ColumnMapping, samples: Sequence[Sequence[str]]) -> list[Advice]:
    if column.target.kind != "tags" or column.separator or column.index is None:
        return []
    separator = tag_separator(column_values(samples, column.index))
    if separator in ("", ",", " "):
        return []
    message = (
        f"Column {column.key} has several tags in a cell, apart by {SEPARATORS[separator]}, but is split at commas. "
        "Choose what stands between them."
    )
    return [Advice("separator", column.key, message)]


def _shared(column: ColumnMapping, values: list[str], context: Context) -> list[Advice]:
    """An identifier that many rows share: one person in all of them, or nobody's."""
    type_name = column.target.identifier
    if not type_name or not context.identifier_by_name[type_name].is_unique:
        return []
    ((_, count),) = Counter(values).most_common(1)
    if count < _OFTEN:
        return []
    message = (
        f"One value of column {column.key} stands in {count:,} of {counted(len(values), 'rows')}: all of them become one person."
        " Leave the column out if it says something else, such as who looks after them."
    )
    return [Advice("shared_identifier", column.key, message, "ignore")]


def _hidden_identifier(
    name: str, target: Target, values: list[str], mapping: Mapping, context: Context
) -> list[Advice]:
    """A column that identifies people by its values or by its name, and goes to an attribute. One row is enough."""
    if target.kind not in ("attribute", "default") or target.identifier or not values:
        return []
    if is_of_somebody_else(name):
        return []
    for kind, label, cleaner in (("email", "an e-mail", email), ("phone", "a phone number", phone)):
        share = share_of(values, cleaner)
        if share >= _LIKE_IDENTIFIER and kind in context.identifier_by_name:
            suggestion = f"identifier.{kind}" if kind in mapping.identifiers else kind
            message = (
                f"Column {name} looks like {label} ({_percent(share)} of {counted(len(values), 'values')}) but goes to an "
                "attribute: these people will not be recognized by it."
            )
            return [Advice("looks_like_identifier", name, message, suggestion)]
    if (
        type_of_name(name) == CUSTOMER
        and CUSTOMER in context.identifier_by_name
        and target.kind == "attribute"
    ):
        message = (
            f"Column {name} is named like the id of a customer but goes to an attribute: these people will not be"
            " recognized by it."
        )
        suggestion = "" if CUSTOMER in mapping.identifiers else CUSTOMER
        return [Advice("looks_like_identifier", name, message, suggestion)]
    return []


def _wrong_kind(name: str, target: Target, values: list[str], context: Context) -> list[Advice]:
    if target.kind != "default" or (
        target.name == "phone" and context.phone_country.startswith(COUNTRY_OF_ROW)
    ):
        return []
    cleaner = Cleaner(Mapping(("",), (ColumnMapping("", target, FILL, index=0),), True), context)
    read = sum(
        not (row.problems or row.warnings) for row in (cleaner.clean(Row(0, [value])) for value in values)
    )
    share = read / len(values)
    if share >= _FITS:
        return []
    lost = (
        "rows will be rejected"
        if context.bad_cells == REJECT_ROW or target.name == "email"
        else "cells will be left out"
    )
    message = (
        f"Column {name} goes to {target.name}, but only {_percent(share)} of {counted(len(values), 'values')} can be read "
        f"as one: the other {lost}."
    )
    return [Advice("does_not_fit", name, message, "ignore")]


def _percent(share: float) -> str:
    """Rounded down: 99.9 % is not all of them."""
    return f"{int(share * 100)} %"
