"""An import, a mapping and the sampled rows → what the cells of each column become, and whole rows as they arrive."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from imports.admin.wording import IGNORE, canonical_target
from imports.columns import (
    FILL,
    LEFT_OUT,
    NO_PROOF,
    Cleaned,
    Cleaner,
    ColumnMapping,
    Context,
    Mapping,
    MappingError,
    cannot_be_read,
    parse_mapping,
)
from imports.files.dialect import Row
from imports.models import Import
from profiles.masking import DOTS
from profiles.values.attributes import display

EXAMPLES = 3
ROWS = 5


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


@dataclass(frozen=True, slots=True)
class Example:
    """One distinct cell of a column. ``result`` is the value it becomes, "" when it cannot be read or changes nothing."""

    raw: str
    result: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What the sampled cells of one column become.

    ``problem`` is the first bad cell's message, ``emptied`` the words that are read as empty.
    """

    examples: list[Example] = field(default_factory=list)
    bad: int = 0
    problem: str = ""
    warning: str = ""
    results: dict[str, int] = field(default_factory=dict)
    emptied: list[str] = field(default_factory=list)

    def masked(self) -> Preview:
        examples = [Example(DOTS, DOTS if item.result else "", item.is_bad) for item in self.examples]
        return replace(self, examples=examples)


def distinct_examples(values: Sequence[str]) -> list[Example]:
    """The first different values of a column that goes nowhere."""
    return [Example(value, "") for value in list(dict.fromkeys(values))[:EXAMPLES]]


def preview_column(import_: Import, column: ColumnMapping, mapping: Mapping, context: Context) -> Preview:
    """The column cleaned by itself; a consent with its date and proof, which only count together."""
    target, index = column.target, column.index or 0
    together = [
        other
        for other in mapping.used
        if other is column
        or (target.kind == other.target.kind == "consent" and other.target.name == target.name)
    ]
    together += [
        other for other in mapping.used if target.identifier == "phone" and other.target.name == "country"
    ]
    cleaner = Cleaner(replace(mapping, columns=tuple(together)), context)
    examples: dict[str, Example] = {}
    results: dict[str, int] = {}
    bad, problem, warning = 0, "", ""
    emptied: list[str] = []
    for row in sampled_rows(import_):
        raw = row.cells[index]
        if not raw.strip():
            continue
        cleaned = cleaner.clean(row)
        messages, warnings = _remarks(column, cleaned)
        bad += bool(messages)
        problem = problem or "".join(messages[:1])
        emptied += [word for name, word in cleaned.emptied if name == column.key]
        warning = warning or "".join(warnings[:1])
        state = _consent_state(column, cleaned)
        if state and not messages:
            results[state] = results.get(state, 0) + 1
        result = "" if messages else _result(column, cleaned)
        examples.setdefault(raw, Example(raw, result, bool(messages)))
    return Preview(
        _listed(list(examples.values())), bad, problem, warning, results, list(dict.fromkeys(emptied))
    )


def _remarks(column: ColumnMapping, cleaned: Cleaned) -> tuple[list[str], list[str]]:
    """(why the cell cannot be read, what else to say of it)."""
    warnings = [item.message for item in cleaned.warnings if item.column == column.key]
    if column.target.kind == "consent":
        return [item for item in warnings if cannot_be_read(item)], [
            item for item in warnings if item == NO_PROOF
        ]
    problems = [item.message for item in cleaned.problems if item.column == column.key]
    problems += [item.removesuffix(LEFT_OUT) for item in warnings if item.endswith(LEFT_OUT)]
    return problems, [item for item in warnings if not item.endswith(LEFT_OUT)]


def _listed(examples: list[Example]) -> list[Example]:
    """The first ones, and the first bad cell last."""
    bad = next((example for example in examples if example.is_bad), None)
    if bad is None:
        return examples[:EXAMPLES]
    return [*[example for example in examples if example is not bad][: EXAMPLES - 1], bad]


def _consent_state(column: ColumnMapping, cleaned: Cleaned) -> str:
    """granted or withdrawn as the cell says, also where a missing proof keeps a yes from being imported."""
    if column.target.kind != "consent" or column.target.part != "state":
        return ""
    states = [consent[2] for consent in cleaned.consents]
    return (states or ["granted" if any(item.message == NO_PROOF for item in cleaned.warnings) else ""])[0]


def _result(column: ColumnMapping, cleaned: Cleaned) -> str:
    target = column.target
    if target.field in cleaned.values:
        return display(target.field, cleaned.values[target.field])
    if target.kind == "tags":
        return " · ".join(cleaned.tags)
    if target.kind == "full_name":
        return " | ".join(cleaned.values.get(name, "") for name in target.fields)
    if target.name == "birth_date" and cleaned.values:
        return f"{next(iter(cleaned.values.values()))} (no year)"
    if target.kind == "consent":
        consent = cleaned.consents[0] if cleaned.consents else None
        position = {"state": 2, "at": 3, "withdrawn_at": 3, "proof": 4}[target.part]
        is_date = target.part in ("at", "withdrawn_at")
        return str(consent[position] or "")[: 10 if is_date else None] if consent else ""
    if cleaned.identifiers:
        return " · ".join(identifier[1] for identifier in cleaned.identifiers)
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
    unread: list[tuple[str, str]]


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
        unread = [(item.column, item.message) for item in cleaned.warnings if not problems]
        previews.append(RowPreview(row.line_no, name or "No name", values, left_out, problems, unread))
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
