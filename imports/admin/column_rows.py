"""An import and a mapping of its columns → the columns as the columns page lists them, by group.

Figures are of the sampled rows only, the first ones of the file; nothing here reads the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from imports.admin.column_preview import EXAMPLES, Draft, Preview, distinct_examples, preview_column
from imports.admin.wording import (
    IGNORE,
    STATES,
    canonical_target,
    is_consent_state,
    may_have_separator,
    separator_choices,
)
from imports.columns import (
    Context,
    ambiguous_columns,
    column_keys,
    consent_reader,
    ignored_consents,
)
from imports.columns.guess import share_of
from imports.models import Import
from profiles.identity.normalize import BadValue, email

CONSTANTS = 2
WORDS = 8  # of a consent column, to show
PROOF = "proof of "  # before a consent column's key: the constant that says where people agreed
ASK, IN, OUT = "ask", "in", "out"


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a consent column and what it means here; `is_open`: somebody has to say it, or has said it."""

    text: str
    state: str
    means: str
    is_open: bool


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
    separator: str = ""
    meaning: str = ""
    words: tuple[Word, ...] = ()
    is_confirmed: bool = False
    looks_like_consent: bool = False
    repeats: str = ""

    @property
    def is_consent(self) -> bool:
        return is_consent_state(self.to)

    @property
    def separators(self) -> list[tuple[str, str]]:
        """The choices, where a cell may hold several values: of tags always, of others when one was found or chosen."""
        if self.to == "tags":
            return [choice for choice in separator_choices("comma (the usual)") if choice[0] != ","]
        has_several = bool(self.separator) and may_have_separator(self.to)
        return separator_choices("nothing: each cell is one value") if has_several else []

    @property
    def is_left_with_data(self) -> bool:
        return self.to == IGNORE and bool(self.filled)

    @property
    def needs_proof(self) -> bool:
        """A yes is imported only with a proof; without one, people have to say where it was given."""
        return self.is_consent and bool(self.preview.warning)

    @property
    def group(self) -> str:
        if self.error or self.advice or not self.to or self.needs_proof or self.has_unknown_words:
            return ASK
        return OUT if self.to == IGNORE else IN

    @property
    def has_unknown_words(self) -> bool:
        return any(word.is_open and not word.state for word in self.words)

    @property
    def usable(self) -> int:
        return self.filled - self.preview.bad

    @property
    def granted(self) -> int:
        return self.preview.results.get("granted", 0)

    @property
    def withdrawn(self) -> int:
        return self.preview.results.get("withdrawn", 0)


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
    looking = ignored_consents(draft.mapping, import_.sample, confirmed=True)
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
            preview_column(import_, previews[index], draft.mapping, context)
            if index in previews
            else Preview(distinct_examples(values))
        )
        rows.append(
            ColumnRow(
                number=number,
                header=header or f"Column {number}",
                to=to,
                policy=posted.get(f"policy.{number}", "") if posted else entry.get("policy", ""),
                filled=len(values),
                preview=preview if can_view_pii else preview.masked(),
                error=_problem(problems, header, number) or question,
                advice=(
                    advice_by_column.get(header)
                    or advice_by_column.get(f"#{number}")
                    or _unused_addresses(import_, to, values, context)
                ),
                proof=proofs.get(f"{to}.proof", ""),
                new_name=posted.get(f"new_name.{number}", "") if posted else attribute_name(header),
                new_type=posted.get(f"new_type.{number}", "text") if posted else "text",
                separator=entry.get("separator", ""),
                meaning=entry.get("meaning", ""),
                words=_words(values, to, entry) if can_view_pii else (),
                is_confirmed=entry.get("confirmed") is True,
                looks_like_consent=to == IGNORE and index in looking,
                repeats=_repeats(to, values, context),
            )
        )
    return rows


def _words(values: Sequence[str], to: str, entry: AnyMapping[str, Any]) -> tuple[Word, ...]:
    """The different words of a consent column, as the import reads them."""
    if not is_consent_state(to):
        return ()
    given = entry.get("values") or {}
    read = consent_reader(entry.get("meaning", ""), given)
    said = {word.strip().casefold() for word in given}
    words = []
    for text in list(dict.fromkeys(value.strip() for value in values))[:WORDS]:
        try:
            state = read(text)
        except BadValue:
            state = ""
        words.append(Word(text, state, STATES.get(state, ""), not state or text.casefold() in said))
    return tuple(words)


def _repeats(to: str, values: Sequence[str], context: Context) -> str:
    """How often values stand in more than one row, of a column that finds people."""
    spec = context.identifier_by_name.get(
        to.removeprefix("identifier.").replace("reference_id", "customer_id")
    )
    if spec is None or not spec.is_unique or len(set(values)) == len(values):
        return ""
    _, count = Counter(values).most_common(1)[0]
    repeated = sum(number > 1 for number in Counter(values).values())
    several = "1 value stands" if repeated == 1 else f"{repeated} values stand"
    return f"{several} in more than one row, one of them in {count}: such rows become one person."


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
        " also finds the person."
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
