"""An import and a mapping of its columns → the columns as the columns page lists them, by group.

Figures are of the sampled rows only, the first ones of the file; nothing here reads the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from imports.admin.column_preview import EXAMPLES, Draft, Preview, distinct_examples, preview_column
from imports.admin.wording import IGNORE, canonical_target
from imports.columns import (
    Context,
    ambiguous_columns,
    column_keys,
)
from imports.columns.guess import share_of
from imports.models import Import
from profiles.identity.normalize import email

CONSTANTS = 2
PROOF = "proof of "  # before a consent column's key: the constant that says where people agreed
ASK, IN, OUT = "ask", "in", "out"


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
