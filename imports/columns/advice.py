"""A mapping and sample rows → what to point out before planning. None of it stops the import."""

from collections.abc import Sequence
from typing import NamedTuple

from imports.columns.guess import share_of
from imports.columns.mapping import Mapping
from imports.columns.targets import Context, Target
from profiles.identity.normalize import default_cleaner, email, phone

_LIKE_IDENTIFIER, _FITS = 0.9, 0.5
_MIN_VALUES = 3


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
    for column in mapping.columns:
        if column.index is None:
            continue
        index = column.index
        values = [row[index].strip() for row in samples if index < len(row) and row[index].strip()]
        if len(values) >= _MIN_VALUES:
            advice += _hidden_identifier(column.key, column.target, values, mapping, context)
            advice += _wrong_kind(column.key, column.target, values, context)
    return advice


def _hidden_identifier(
    name: str, target: Target, values: list[str], mapping: Mapping, context: Context
) -> list[Advice]:
    if target.kind not in ("attribute", "default") or target.identifier:
        return []
    for kind, label, cleaner in (("email", "an e-mail", email), ("phone", "a phone number", phone)):
        share = share_of(values, cleaner)
        if share >= _LIKE_IDENTIFIER and kind in context.identifier_by_name:
            suggestion = f"identifier.{kind}" if kind in mapping.identifiers else kind
            message = (
                f"Column {name} looks like {label} ({_percent(share)} of {len(values):,} values) but goes to an "
                "attribute: these people will not be recognized by it."
            )
            return [Advice("looks_like_identifier", name, message, suggestion)]
    return []


def _wrong_kind(name: str, target: Target, values: list[str], context: Context) -> list[Advice]:
    if target.kind != "default":
        return []
    share = share_of(values, default_cleaner(target.name, region=context.region))
    if share >= _FITS:
        return []
    message = (
        f"Column {name} goes to {target.name}, but only {_percent(share)} of {len(values):,} values can be read "
        "as one: the other rows will be rejected."
    )
    return [Advice("does_not_fit", name, message, "ignore")]


def _percent(share: float) -> str:
    """Rounded down: 99.9 % is not all of them."""
    return f"{int(share * 100)} %"
