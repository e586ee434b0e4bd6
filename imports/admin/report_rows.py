"""An import with a plan → what its page lists: outcomes, problems by reason, things to know, changes, settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cdp.looks import saw
from cdp.plurals import counted
from imports.admin.column_form import QUOTES
from imports.admin.wording import (
    ALWAYS_LISTED,
    IGNORE,
    ON_CONFLICT,
    OUTCOMES,
    POLICIES,
    QUOTE_NAMES,
    canonical_target,
    outcome_label,
    phone_country_text,
    target_groups,
    target_labels,
)
from imports.columns import BAD_CELLS, column_keys
from imports.columns.dates import ORDERS
from imports.downloads import visible_changes
from imports.files import CSV, DELIMITERS, ENCODINGS, FORMATS, MAX_QUOTED_LINES
from imports.mappings import load_context
from imports.models import Import, Row
from imports.report import MANY_VALUED, added_and_removed, problem_groups
from imports.shared_identifiers import shared_identifiers
from profiles.masking import DOTS
from profiles.models import Profile
from profiles.values.attributes import attribute_specs, display, label_of

CHANGES = 12
_QUOTES = {char: QUOTE_NAMES[key] for key, char in QUOTES.items()}
NEW_PEOPLE = 5


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    outcome: str
    count: int
    label: str


def outcome_counts(counts: dict[str, int]) -> list[OutcomeCount]:
    """Rows by outcome: the usual ones always, the rare ones where there are any."""
    return [
        OutcomeCount(outcome, counts.get(outcome, 0), outcome_label(outcome, counts.get(outcome, 0)))
        for outcome in OUTCOMES
        if counts.get(outcome) or outcome in ALWAYS_LISTED
    ]


def split_parts(counts: dict[str, int]) -> list[Any]:
    """Alternating label, count, part, as the split bar takes them."""
    return [
        piece
        for outcome, (_, _, part) in OUTCOMES.items()
        if counts.get(outcome)
        for piece in (outcome_label(outcome, counts[outcome]), counts[outcome], part)
    ]


# --- Problems and warnings ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason for which rows were rejected. ``column_number`` is where on the columns page it can be mended."""

    count: int
    column: str
    values: list[str]
    more_values: int
    message: str
    line_no: int
    column_number: int | None


def rejection_reasons(import_: Import, *, can_view_pii: bool) -> list[Problem]:
    """The reasons, the most frequent first. One query."""
    return [
        Problem(
            count=group["count"],
            column=group["column"] or "",
            values=group["values"] if can_view_pii else [DOTS for _ in group["values"][:1]],
            more_values=max(0, group["different"] - len(group["values"])),
            message=group["message"],
            line_no=group["line"],
            column_number=column_number(import_, group["column"]),
        )
        for group in problem_groups(import_)
    ]


def column_number(import_: Import, column: str | None) -> int | None:
    """From 1; None for the row as a whole and for constants."""
    index = column_keys(import_.headers).get(column or "")
    return None if index is None else index + 1


@dataclass(frozen=True, slots=True)
class ThingToKnow:
    column: str
    message: str
    count: int | None
    line_no: int | None
    column_number: int | None


def things_to_know(import_: Import) -> list[ThingToKnow]:
    """The plan's warnings. Counts only where the message does not say them itself."""
    return [
        ThingToKnow(
            column=warning.get("column") or "",
            message=warning["message"],
            count=warning.get("count") if warning.get("code") == "value" else None,
            line_no=warning.get("line"),
            column_number=column_number(import_, warning.get("column")),
        )
        for warning in import_.warnings
    ]


def shared_rows(import_: Import, *, can_view_pii: bool) -> list[dict[str, Any]]:
    """Identifiers that unlike rows share, most repeated first. One query if there are any."""
    rows = shared_identifiers(import_)
    return rows if can_view_pii else [{**row, "value": DOTS} for row in rows]


# --- Changes ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of one sampled row. Of what a person may have several of, ``new`` says what is added and removed."""

    line_no: int
    profile_id: int | None
    person: str
    field: str
    old: str
    new: str
    is_many: bool = False


def sampled_changes(import_: Import, *, can_view_pii: bool, can_view_stored: bool) -> list[FieldChange]:
    """What some updates change: ``can_view_pii`` is about the file's side, ``can_view_stored`` about the people's.

    Two queries and the attributes' names.
    """
    updates = Row.objects.filter(import_id=import_.pk, outcome=Row.Outcome.UPDATED).order_by("line")
    rows: list[Any] = list(updates.values_list("line", "profile_id", "diff")[:CHANGES])
    people = Profile.objects.filter(pk__in=[row[1] for row in rows]).exclude(status=Profile.Status.DELETED)
    names = {profile.pk: profile.name for profile in people}
    saw(row[1] for row in rows)
    specs = attribute_specs()
    changes = []
    for line_no, profile_id, diff in rows:
        fields = visible_changes(diff, specs, file=can_view_pii, stored=can_view_stored)
        person = names.get(profile_id, "") if can_view_stored else f"#{profile_id}"
        for field, (old, new) in fields.items():
            label = label_of(field, specs) if field in specs else field.capitalize()
            sides = (display(field, old), display(field, new))
            if is_many := field in MANY_VALUED:
                sides = (
                    ", ".join(map(str, old)) if isinstance(old, list) else "",
                    added_and_removed(old, new),
                )
            changes.append(FieldChange(line_no, profile_id, person, label, *sides, is_many))
    return changes[: CHANGES * 2]


def sampled_new_people(import_: Import) -> list[dict[str, Any]]:
    """line, name, email, phone and city of the first new people: personal data, unmasked. One query."""
    created = Row.objects.filter(import_id=import_.pk, outcome=Row.Outcome.CREATED).order_by("line")
    rows = created.values("line", "first_name", "last_name", "email", "phone", "city")[:NEW_PEOPLE]
    return [
        {**row, "name": " ".join(part for part in (row["first_name"], row["last_name"]) if part)}
        for row in rows
    ]


# --- Settings, read-only ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MappedColumn:
    header: str
    target: str
    rule: str
    is_left_out: bool


def mapped_columns(import_: Import) -> list[MappedColumn]:
    """Where each column went, constants last. Two queries."""
    mapping = import_.mapping
    labels = target_labels(
        target_groups(load_context(import_.options), [entry.get("to", "") for entry in mapping.values()])
    )
    keys = column_keys(import_.headers)
    entries = {keys[key]: entry for key, entry in mapping.items() if key in keys and "const" not in entry}
    columns = []
    for index, header in enumerate(import_.headers):
        entry = entries.get(index, {"to": IGNORE})
        to = canonical_target(entry["to"])
        rule = POLICIES.get(entry.get("policy", ""), "")
        columns.append(
            MappedColumn(header or f"Column {index + 1}", labels.get(to, to), rule, entry["to"] == IGNORE)
        )
    constants = [
        MappedColumn(f"Same for every row: {entry['const']}", labels.get(entry["to"], entry["to"]), "", False)
        for entry in mapping.values()
        if "const" in entry
    ]
    return [*columns, *constants]


def file_settings(import_: Import) -> list[tuple[str, str]]:
    """(name, value) of how the file was read and of its options."""
    dialect, options = import_.dialect, import_.options
    is_csv = dialect.get("format", CSV) == CSV
    header = f"in line {dialect.get('header_line', 1):,}" if dialect.get("has_header", True) else "none"
    reading = [
        ("Encoding", ENCODINGS.get(dialect.get("encoding", ""), dialect.get("encoding", ""))),
        ("Delimiter", DELIMITERS.get(dialect.get("delimiter", ""), dialect.get("delimiter", ""))),
        ("Header", header),
        ("Around cells", _QUOTES.get(dialect.get("quotechar", '"'), "")),
        ("Space after the delimiter", "not part of the cell" if dialect.get("skip_space") else ""),
        ("Longest cell", counted(dialect.get("max_quoted_lines", MAX_QUOTED_LINES), "lines")),
    ]
    settings = [
        ("Format", FORMATS.get(dialect.get("format", CSV), "")),
        *(reading if is_csv else []),
        ("When a person already has a value", POLICIES.get(options.get("policy", ""), "")),
        ("When a row matches two people", ON_CONFLICT.get(options.get("on_conflict", ""), "")),
        ("Text that empties a field", options.get("clear_marker", "")),
        ("NULL, n/a, #N/A", "read as empty" if options.get("empty_words", True) else "kept as text"),
        ("Dates", ORDERS.get(options.get("date_order", ""), "")),
        (
            "Phone numbers without a country code are from",
            phone_country_text(options.get("phone_country", "")),
        ),
        ("A cell that cannot be read", BAD_CELLS.get(options.get("bad_cells", ""), "")),
    ]
    return [(name, value) for name, value in settings if value]
