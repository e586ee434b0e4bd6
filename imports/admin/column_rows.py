"""An import and a mapping of its columns → what the columns page lists: columns by group, one row, checks.

Figures are of the sampled rows only, the first ones of the file; nothing here reads the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from imports.admin.wording import IGNORE, canonical_target
from imports.columns import (
    FILL,
    Cleaned,
    Cleaner,
    ColumnMapping,
    Context,
    Mapping,
    MappingError,
    ambiguous_columns,
    column_keys,
    parse_mapping,
)
from imports.columns.guess import share_of
from imports.files.dialect import Row
from imports.models import Import
from profiles.identity.normalize import email
from profiles.masking import DOTS
from profiles.values.attributes import display

EXAMPLES = 3
ROWS = 5
CONSTANTS = 2
PROOF = "proof of "  # before a consent column's key: the constant that says where people agreed
ASK, IN, OUT = "ask", "in", "out"


@dataclass(frozen=True, slots=True)
class Example:
    """One distinct cell of a column. ``result`` is the value it becomes, "" when it cannot be read or changes nothing."""

    raw: str
    result: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What the sampled cells of one column become; ``problem`` is the first bad cell's message."""

    examples: list[Example] = field(default_factory=list)
    bad: int = 0
    problem: str = ""
    warning: str = ""
    results: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """One column of the form. ``number`` names its inputs, from 1; ``filled`` of the sampled rows have a value."""

    number: int
    header: str
    to: str
    policy: str
    filled: int
    preview: Preview
    error: str = ""
    advice: dict[str, Any] | None = None
    proof: str = ""
    new_name: str = ""
    new_type: str = "text"

    @property
    def is_consent(self) -> bool:
        return self.to.count(".") == 2 and self.to.startswith("consent.")

    @property
    def needs_proof(self) -> bool:
        """A yes is imported only with a proof; without one, people have to say where it was given."""
        return self.is_consent and bool(self.preview.warning)

    @property
    def group(self) -> str:
        if self.error or self.advice or not self.to or self.needs_proof:
            return ASK
        return OUT if self.to == IGNORE else IN

    @property
    def usable(self) -> int:
        return self.filled - self.preview.bad

    @property
    def granted(self) -> int:
        return self.preview.results.get("granted", 0)

    @property
    def withdrawn(self) -> int:
        return self.preview.results.get("withdrawn", 0)


@dataclass(frozen=True, slots=True)
class Draft:
    """The part of a mapping that can be used already, and its cleaner."""

    mapping: Mapping
    cleaner: Cleaner


def draft_of(import_: Import, mapping: AnyMapping[str, Any], context: Context, policy: str = FILL) -> Draft:
    """Columns with a problem count as left out, so that the others can be previewed."""
    entries = dict(mapping)
    while True:
        try:
            parsed = parse_mapping(entries, import_.headers, context, default_policy=policy)
            return Draft(parsed, Cleaner(parsed, context))
        except MappingError as error:
            for key, _ in error.problems:
                if entries.pop(key, None) is None:  # not in the mapping, but has to be
                    entries[key] = {"to": IGNORE}


def column_rows(
    import_: Import,
    mapping: AnyMapping[str, Any],
    draft: Draft,
    context: Context,
    *,
    problems: AnyMapping[str, str],
    advice: Sequence[dict[str, Any]],
    posted: QueryDict | None,
    can_view_pii: bool,
) -> list[ColumnRow]:
    """Every column of the file in order. ``posted`` is what a refused form contained."""
    keys = column_keys(import_.headers)
    by_index = {keys[key]: entry for key, entry in mapping.items() if key in keys and "const" not in entry}
    undecided = ambiguous_columns(import_.headers, context)
    advice_by_column = {item["column"]: item for item in advice if item["column"]}
    proofs = {entry["to"]: entry["const"] for entry in mapping.values() if "const" in entry}
    previews = {column.index: column for column in draft.mapping.used if column.index is not None}
    rows = []
    for index, header in enumerate(import_.headers):
        number = index + 1
        entry = by_index.get(index, {})
        question = undecided.get(index, "") if index not in by_index else ""
        values = column_values(import_, index)
        to = canonical_target(entry.get("to", "" if question else IGNORE))
        if posted:
            to = posted.get(f"to.{number}", "")
        preview = (
            _preview(import_, previews[index], draft.mapping, context)
            if index in previews
            else Preview([Example(value, "") for value in _distinct(values)])
        )
        rows.append(
            ColumnRow(
                number=number,
                header=header or f"Column {number}",
                to=to,
                policy=posted.get(f"policy.{number}", "") if posted else entry.get("policy", ""),
                filled=len(values),
                preview=preview if can_view_pii else _masked(preview),
                error=_problem(problems, header, number) or question,
                advice=(
                    advice_by_column.get(header)
                    or advice_by_column.get(f"#{number}")
                    or _unused_addresses(import_, to, values, context)
                ),
                proof=proofs.get(f"{to}.proof", ""),
                new_name=posted.get(f"new_name.{number}", "") if posted else attribute_name(header),
                new_type=posted.get(f"new_type.{number}", "text") if posted else "text",
            )
        )
    return rows


def _unused_addresses(
    import_: Import, to: str, values: Sequence[str], context: Context
) -> dict[str, Any] | None:
    """Advice about a column of e-mail addresses that was left out by the guess, not by a person."""
    if (
        to != IGNORE
        or import_.revision > 1
        or len(values) < EXAMPLES
        or "email" not in context.identifier_by_name
    ):
        return None
    if share_of(values, email) < 1:
        return None
    message = (
        f"All {len(values)} values look like e-mail addresses, but the column is left out. A further e-mail"
        " finds the person, too."
    )
    return {"message": message, "suggestion": "identifier.email"}


def _problem(problems: AnyMapping[str, str], header: str, number: int) -> str:
    keys = (header, f"#{number}")
    return next((problems[key] for key in (*keys, *(PROOF + key for key in keys)) if key in problems), "")


def attribute_name(header: str) -> str:
    """A name to suggest for a new attribute: "Lifecycle Stage" as ``lifecycle_stage``."""
    name = re.sub(r"[^a-z0-9]+", "_", header.lower()).strip("_")
    return name[:60] if name[:1].isalpha() else ""


def column_values(import_: Import, index: int) -> list[str]:
    """The filled cells of a column in the sample."""
    return [row[index] for row in import_.sample if index < len(row) and row[index].strip()]


def _distinct(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))[:EXAMPLES]


def _masked(preview: Preview) -> Preview:
    examples = [Example(DOTS, DOTS if example.result else "", example.is_bad) for example in preview.examples]
    return Preview(examples, preview.bad, preview.problem, preview.warning, preview.results)


# --- What cells become --------------------------------------------------------------------------------


def _preview(import_: Import, column: ColumnMapping, mapping: Mapping, context: Context) -> Preview:
    """The column cleaned by itself; a consent with its date and proof, which only count together."""
    target, index = column.target, column.index or 0
    together = [
        other
        for other in mapping.used
        if other is column
        or (target.kind == other.target.kind == "consent" and other.target.name == target.name)
    ]
    cleaner = Cleaner(Mapping(mapping.headers, tuple(together)), context)
    examples: dict[str, Example] = {}
    results: dict[str, int] = {}
    bad, problem, warning = 0, "", ""
    for row in sampled_rows(import_):
        raw = row.cells[index]
        if not raw.strip():
            continue
        cleaned = cleaner.clean(row)
        messages = [item.message for item in cleaned.problems if item.column == column.key]
        warnings = [item.message for item in cleaned.warnings if item.column == column.key]
        bad += bool(messages)
        problem = problem or "".join(messages[:1])
        warning = warning or "".join(warnings[:1])
        state = _consent_state(column, cleaned)
        if state and not messages:
            results[state] = results.get(state, 0) + 1
        result = "" if messages else _result(column, cleaned)
        examples.setdefault(raw, Example(raw, result, bool(messages)))
    shown = sorted(examples.values(), key=lambda example: not example.is_bad)[:1] if bad else []
    shown = [
        *[example for example in examples.values() if example not in shown][: EXAMPLES - len(shown)],
        *shown,
    ]
    return Preview(shown, bad, problem, warning, results)


def _consent_state(column: ColumnMapping, cleaned: Cleaned) -> str:
    """granted or withdrawn as the cell says, also where a missing proof keeps a yes from being imported."""
    if column.target.kind != "consent" or column.target.part != "state":
        return ""
    states = [consent[2] for consent in cleaned.consents]
    return (states or ["granted" if cleaned.warnings else ""])[0]


def _result(column: ColumnMapping, cleaned: Cleaned) -> str:
    target = column.target
    if target.field in cleaned.values:
        return display(target.field, cleaned.values[target.field])
    if target.kind == "tags":
        return ", ".join(cleaned.tags)
    if target.kind == "consent":
        consent = cleaned.consents[0] if cleaned.consents else None
        position = {"state": 2, "at": 3, "proof": 4}[target.part]
        return str(consent[position] or "")[: 10 if target.part == "at" else None] if consent else ""
    if cleaned.identifiers:
        return cleaned.identifiers[0][1]
    return "(emptied)" if cleaned.clears else ""


def sampled_rows(import_: Import) -> list[Row]:
    """The stored sample, each row as wide as the header. Line numbers are not stored with it."""
    width = len(import_.headers)
    return [Row(number, (row + [""] * width)[:width]) for number, row in enumerate(import_.sample, 1)]


@dataclass(frozen=True, slots=True)
class RowPreview:
    """One row of the file as the person it becomes; ``left_out`` are the cells that go nowhere."""

    number: int
    title: str
    values: list[tuple[str, str]]
    left_out: list[tuple[str, str]]
    problems: list[tuple[str, str]]


def row_previews(
    import_: Import, draft: Draft, labels: AnyMapping[str, str], *, can_view_pii: bool
) -> list[RowPreview]:
    """The first rows of the file as they arrive."""
    used = {column.index for column in draft.mapping.used}
    previews = []
    for row in sampled_rows(import_)[:ROWS]:
        cleaned = draft.cleaner.clean(row)
        left_out = [
            (header or f"Column {index + 1}", row.cells[index].strip())
            for index, header in enumerate(import_.headers)
            if index not in used and row.cells[index].strip()
        ]
        values = _row_values(cleaned, labels)
        name = " ".join(
            str(cleaned.values[part]) for part in ("first_name", "last_name") if part in cleaned.values
        )
        if not can_view_pii:
            values, left_out = (
                [(label, DOTS) for label, _ in values],
                [(label, DOTS) for label, _ in left_out],
            )
            name = DOTS
        problems = [(problem.column, problem.message) for problem in cleaned.problems]
        previews.append(RowPreview(row.line_no, name or "No name", values, left_out, problems))
    return previews


def _row_values(cleaned: Cleaned, labels: AnyMapping[str, str]) -> list[tuple[str, str]]:
    values = [
        (labels.get(field_, field_), display(field_, value))
        for field_, value in cleaned.values.items()
        if field_ not in ("first_name", "last_name")
    ]
    identifiers = [
        (labels.get(canonical_target(f"identifier.{type_}"), type_), raw or value)
        for type_, value, raw in cleaned.identifiers
        if type_ not in cleaned.values
    ]
    consents = [
        (
            labels.get(f"consent.{channel}.{purpose}", f"{channel}: {purpose}"),
            f"{state} {(at or '')[:10]}".strip(),
        )
        for channel, purpose, state, at, _ in cleaned.consents
    ]
    tags = [("Tags", ", ".join(cleaned.tags))] if cleaned.tags else []
    cleared = [(labels.get(field_, field_), "(emptied)") for field_ in cleaned.clears]
    return [*identifiers, *values, *consents, *tags, *cleared]


# --- Before the button --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """One line before the button; ``anchor`` is where on the page it can be settled."""

    is_ok: bool
    text: str
    detail: str = ""
    anchor: str = ""


def checks(
    import_: Import,
    columns: Sequence[ColumnRow],
    draft: Draft,
    context: Context,
    labels: AnyMapping[str, str],
) -> list[Check]:
    """What to know before planning, from the mapping and the sampled rows."""
    items = [
        _matching(draft, context, labels),
        _answers(columns),
        _sample(import_, draft),
        _left_out(columns),
    ]
    items += [
        Check(False, warning["message"]) for warning in import_.warnings if warning.get("code") == "same_file"
    ]
    items += [
        Check(False, _sentence(remark), anchor="reading") for remark in import_.dialect.get("remarks", [])
    ]
    return [check for check in items if check]


def _sentence(remark: Any) -> str:
    return str(remark.get("message", "")) if isinstance(remark, dict) else str(remark)


def _matching(draft: Draft, context: Context, labels: AnyMapping[str, str]) -> Check:
    types = [
        context.identifier_by_name[name]
        for name in draft.mapping.identifiers
        if context.identifier_by_name[name].is_unique
    ]
    if not types:
        return Check(
            False,
            "No column identifies people: every row makes a new profile",
            "Importing the file again makes them again. Map an e-mail or a customer id if the file has one.",
        )
    names = [
        spec.label or labels.get(canonical_target(f"identifier.{spec.name}"), spec.name)
        for spec in sorted(types, key=lambda spec: spec.priority)
    ]
    return Check(
        True, f"People are found by {', then by '.join(names)}", "Who is not found becomes a new person."
    )


def _answers(columns: Sequence[ColumnRow]) -> Check:
    open_ = [column for column in columns if column.group == ASK]
    if not open_:
        return Check(True, "Every column has an answer")
    needs = "column needs" if len(open_) == 1 else "columns need"
    return Check(False, f"{len(open_)} {needs} your answer", _names(open_), "needs-answer")


def _sample(import_: Import, draft: Draft) -> Check | None:
    rows = sampled_rows(import_)
    if not rows or not draft.mapping.used:
        return None
    bad = [row for row in rows if draft.cleaner.clean(row).problems]
    first = "the first row" if len(rows) == 1 else f"the first {len(rows)} rows"
    if not bad:
        return Check(True, f"Every cell of {first} can be read", "The plan checks every row of the file.")
    return Check(
        False,
        f"{len(bad)} of {first} would be rejected",
        "A row with a cell that cannot be read stays out.",
    )


def _left_out(columns: Sequence[ColumnRow]) -> Check | None:
    left = [column for column in columns if column.group == OUT and column.filled]
    if not left:
        return None
    are = "column with data is" if len(left) == 1 else "columns with data are"
    return Check(False, f"{len(left)} {are} left out", _names(left), "left-out")


def _names(columns: Sequence[ColumnRow]) -> str:
    names = ", ".join(column.header for column in columns[:4])
    return f"{names} and {len(columns) - 4} more" if len(columns) > 4 else names
