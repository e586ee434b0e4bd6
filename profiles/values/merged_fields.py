"""Two values of a field and its merge rule → the merged one; a row → its values by the journal's keys. No query in here.

Values are JSON-ready as ``profiles.values.attributes`` gives them; first and last visit are aware datetimes.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from profiles.models import AttributeDefinition, Profile
from profiles.values.attributes import CUSTOM, get_value, set_value

MergeRule = AttributeDefinition.MergeRule
_BY_SIZE: dict[str, Any] = {MergeRule.LARGEST: max, MergeRule.SMALLEST: min}
# What an attribute may ask for beside filling what is empty and uniting lists.
OWN_RULES = frozenset({MergeRule.NEWEST, MergeRule.SUM, MergeRule.LARGEST, MergeRule.SMALLEST})
SIDES = ("winner", "loser")
SEEN = {"first_seen_at": min, "last_seen_at": max}

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FieldOutcome:
    """``rule``: same, winner (its value stands), fill (the winner had none), choice (somebody's), union, or the
    attribute's own: newest, sum, largest, smallest."""

    value: Any
    rule: str


def is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def combine(
    field: str,
    winner: Any,
    loser: Any,
    choice: str | None = None,
    *,
    rule: str = "",
    is_loser_newer: bool = False,
) -> FieldOutcome:
    """The merged value of one field.

    Fill-if-empty by default, lists are united; ``rule`` is the attribute's own, where it has another one.
    ``choice`` names the side whose value is taken, whatever the rule. A merge never empties a field: choosing
    the loser's side where it has nothing keeps the winner's value.
    """
    if field in SEEN:
        known = [moment for moment in (winner, loser) if moment is not None]
        return FieldOutcome(SEEN[field](known) if known else None, "union")
    if rule == MergeRule.SUM and choice is None and (total := _total(winner, loser)) is not None:
        return FieldOutcome(total, rule)
    if winner == loser or is_empty(loser):
        return FieldOutcome(winner, "same" if winner == loser or is_empty(winner) else "winner")
    if choice is not None:
        return FieldOutcome(winner if choice == "winner" else loser, "choice")
    if is_empty(winner):
        return FieldOutcome(loser, "fill")
    if rule == MergeRule.NEWEST:
        return FieldOutcome(loser if is_loser_newer else winner, rule)
    if rule in _BY_SIZE and _is_comparable(winner, loser):
        return FieldOutcome(_BY_SIZE[rule](winner, loser, key=_size), rule)
    if isinstance(winner, list) and isinstance(loser, list) and rule != MergeRule.FILL:
        return FieldOutcome([*winner, *(item for item in loser if item not in winner)], "union")
    return FieldOutcome(winner, "winner")


def _total(winner: Any, loser: Any) -> float | None:
    """The sum as people write numbers (0.1 + 0.2 is 0.3); None where either is no number or nothing holds it."""
    if not (_is_number(winner) and _is_number(loser)):
        return None
    if isinstance(winner, int) and isinstance(loser, int):
        return winner + loser
    total = Decimal(str(winner)) + Decimal(str(loser))
    if total == total.to_integral_value() and abs(total) < 2**53:
        return int(total)
    value = float(total)
    return value if math.isfinite(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_comparable(winner: Any, loser: Any) -> bool:
    """Two numbers, or two dates as they are stored, whose text sorts by time."""
    both = (winner, loser)
    return all(map(_is_number, both)) or all(isinstance(value, str) for value in both)


def _size(value: Any) -> Any:
    """Without the Z of a moment, which would sort after fractions of the second."""
    return value.removesuffix("Z") if isinstance(value, str) else value


def is_attribute(field: str) -> bool:
    """Whether a key of a journal entry is a value on the row (tags, identifiers … are not)."""
    return field in Profile.FIELDS or field.startswith(CUSTOM)


def row_values(profile: Profile) -> Values:
    """Everything a merge may change on a row; a missing key means the row has none."""
    custom = {CUSTOM + name: value for name, value in profile.attributes.items()}
    typed = {name: get_value(profile, name) for name in Profile.FIELDS}
    return {**typed, **custom, **{name: getattr(profile, name) for name in SEEN}}


def put_values(profile: Profile, values: Mapping[str, Any]) -> list[str]:
    """Put values on the instance (not saved); gives the columns to save."""
    columns = set()
    for field, value in values.items():
        if field in SEEN:
            setattr(profile, field, value)
        else:
            set_value(profile, field, value)
        columns.add("attributes" if field.startswith(CUSTOM) else field)
    return sorted(columns)


def merged_values(
    winner: Values,
    loser: Values,
    choices: Mapping[str, str],
    *,
    rules: Mapping[str, str],
    newer_on_loser: Collection[str] = (),
) -> dict[str, FieldOutcome]:
    """The outcome of every field that either side has, the winner's order first."""
    return {
        key: combine(
            key,
            winner.get(key),
            loser.get(key),
            choices.get(key),
            rule=rules.get(key, ""),
            is_loser_newer=key in newer_on_loser,
        )
        for key in dict.fromkeys([*winner, *loser])
    }


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[Any]]:
    """``{field: [old, new]}`` where they differ."""
    return {key: [old.get(key), value] for key, value in new.items() if old.get(key) != value}


def stored_value(value: Any) -> Any:
    """As kept in ``Merge.before`` and the journal: times as text."""
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def stored(values: Mapping[str, Any]) -> Values:
    """``stored_value`` of each."""
    return {key: stored_value(value) for key, value in values.items()}


def loaded(field: str, value: Any) -> Any:
    """The reverse of ``stored_value``."""
    return datetime.datetime.fromisoformat(value) if field in SEEN and value is not None else value
