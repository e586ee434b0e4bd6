"""Options of an import as a whole, from the form or the API → checked options, and those of the dialect."""

from __future__ import annotations

from typing import Any

from cdp.actors import Actor
from cdp.errors import Invalid
from imports.columns import BAD_CELLS, COUNTRY_OF_ROW, FILL, LEAVE_OUT_CELL, POLICIES, WITHOUT_PLUS
from imports.columns.dates import ORDERS
from imports.files import DELIMITERS, ENCODINGS
from profiles.consent.ledger import REGRANT, require_regrant
from profiles.identity.normalize import BadValue, country
from profiles.models import Consent

STRONGER, LEAVE_OUT = "stronger", "hold"
ON_CONFLICT = (STRONGER, LEAVE_OUT)

# How the file is written: these override the detected dialect, everything else stays an option.
DIALECT = (
    "encoding",
    "delimiter",
    "quotechar",
    "skip_space",
    "header_line",
    "has_header",
    "max_quoted_lines",
)
DEFAULTS: dict[str, Any] = {
    "policy": FILL,
    "on_conflict": STRONGER,
    "auto_apply": False,
    "clear_marker": "<clear>",
    "empty_words": True,
    "bad_cells": LEAVE_OUT_CELL,
    "date_order": "",
    "phone_country": "",
    # Whether an apostrophe before digits, as shops and spreadsheets put there, is no part of an id or postcode.
    "digit_marks": True,
}
# Found out from the cells where nobody said them.
FROM_CELLS = ("date_order", "phone_country")
# Why a yes of the file counts for whoever had said no, and what proves it: given for one import, never kept for others.
REGRANT_OPTIONS = ("regrant_reason", "regrant_proof")
_TEXTS = {"clear_marker": 40, "regrant_proof": 500}
_CHOICES = {
    "policy": tuple(POLICIES),
    "on_conflict": ON_CONFLICT,
    "bad_cells": tuple(BAD_CELLS),
    "date_order": (*ORDERS, ""),
    "encoding": tuple(ENCODINGS),
    "quotechar": ('"', "'", ""),
    "regrant_reason": (*Consent.Reason.values, ""),
}
_FLAGS = ("auto_apply", "empty_words", "skip_space", "has_header")
_NUMBERS = {"header_line": 1_000_000, "max_quoted_lines": 100_000}
_DELIMITER_NAMES = {name: char for char, name in DELIMITERS.items()}


def clean_options(data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(options, dialect options); Invalid names everything that is wrong at once."""
    problems: list[dict[str, Any]] = []
    clean: dict[str, Any] = {}
    for name, value in data.items():
        try:
            clean[name] = _clean(name, value)
        except ValueError as error:
            problems.append({"field": f"options.{name}", "value": str(value)[:100], "message": str(error)})
    if clean.pop("kind", "profiles") == "events":
        message = "Importing events is not possible yet. Send them through the API, or import people."
        problems.append({"field": "options.kind", "value": "events", "message": message})
    if problems:
        raise Invalid(problems)
    dialect_options = {name: clean.pop(name) for name in DIALECT if name in clean}
    return clean, dialect_options


def regrants(options: dict[str, Any]) -> bool:
    """Whether a yes of the file counts for whoever had said no."""
    return bool(options.get("regrant_reason"))


def check_regrant(options: dict[str, Any], *, actor: Actor) -> None:
    """Raises Forbidden for somebody who may not turn a no into a yes, Invalid for a reason or proof without the other."""
    reason, proof = (str(options.get(name) or "").strip() for name in REGRANT_OPTIONS)
    if not reason and not proof:
        return
    require_regrant(
        actor,
        f"Recording a yes of people who had said no needs the permission {REGRANT}.",
        "Leave out the options regrant_reason and regrant_proof.",
    )
    if not reason:
        message = f"Also give the reason for a yes after a no: one of {', '.join(Consent.Reason.values)}."
        raise Invalid([{"field": "options.regrant_reason", "value": None, "message": message}])
    if not proof:
        message = "Also give the proof of a yes after a no: where and how they agreed again."
        raise Invalid([{"field": "options.regrant_proof", "value": None, "message": message}])


def _clean(name: str, value: Any) -> Any:
    if name == "kind":
        if value not in ("profiles", "events"):
            raise ValueError("The kind is profiles or events.")
    elif name == "delimiter":
        value = {**_DELIMITER_NAMES, "\\t": "\t"}.get(value, value)
        if not isinstance(value, str) or len(value) != 1 or value in "\r\n\"'":
            raise ValueError("The delimiter must be one character, such as a comma, a semicolon or a tab.")
    elif name == "phone_country":
        value = _phone_country(value)
    elif name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ValueError(f"Choose one of {', '.join(choice or 'none' for choice in _CHOICES[name])}.")
    elif name in _FLAGS:
        if not isinstance(value, bool):
            raise ValueError("Write true or false.")
    elif name in _NUMBERS:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _NUMBERS[name]:
            raise ValueError(f"Write a number from 1 to {_NUMBERS[name]:,}.")
    elif name in _TEXTS:
        if not isinstance(value, str) or len(value) > _TEXTS[name]:
            raise ValueError(f"Write a text of at most {_TEXTS[name]} characters.")
    else:
        raise ValueError("There is no such option.")
    return value


def _phone_country(value: Any) -> str:
    """A country's code, `row` (or `row:DE`: Germany where the row has none), `international`, or "" for the usual one."""
    mode, colon, code = value.partition(":") if isinstance(value, str) else (None, "", "")
    if mode in ("", WITHOUT_PLUS, COUNTRY_OF_ROW) and not colon:
        return str(mode)
    try:
        if mode == COUNTRY_OF_ROW:
            return f"{mode}:{country(code)}"
        if mode and not colon:
            return country(mode)
    except BadValue:
        pass
    raise ValueError(
        "Write the country of numbers without a country code, for example PL, or “row” for the country of each row, "
        "or “international” for numbers that lack only the “+”."
    )
