"""Two values of a field → the merged one; a row → its values by the journal's keys. No query in here.

Values are JSON-ready as ``profiles.values.attributes`` gives them; first and last visit are aware datetimes.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from profiles.models import Profile
from profiles.values.attributes import CUSTOM, get_value, set_value

SIDES = ("winner", "loser")
SEEN = {"first_seen_at": min, "last_seen_at": max}

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FieldOutcome:
    """``rule``: same, winner (its value stands), fill (the winner had none), choice (somebody's), union."""

    value: Any
    rule: str


def is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def combine(field: str, winner: Any, loser: Any, choice: str | None = None) -> FieldOutcome:
    """The merged value of one field.

    Fill-if-empty by default; ``choice`` names the side whose value is taken. Lists are united. A merge never
    empties a field: choosing the loser's side where it has nothing keeps the winner's value.
    """
    if field in SEEN:
        known = [moment for moment in (winner, loser) if moment is not None]
        return FieldOutcome(SEEN[field](known) if known else None, "union")
    if winner == loser or is_empty(loser):
        return FieldOutcome(winner, "same" if winner == loser or is_empty(winner) else "winner")
    if choice is not None:
        return FieldOutcome(winner if choice == "winner" else loser, "choice")
    if is_empty(winner):
        return FieldOutcome(loser, "fill")
    if isinstance(winner, list) and isinstance(loser, list):
        return FieldOutcome([*winner, *(item for item in loser if item not in winner)], "union")
    return FieldOutcome(winner, "winner")


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
    winner: Values, loser: Values, choices: Mapping[str, str], fields: Iterable[str] | None = None
) -> dict[str, FieldOutcome]:
    """The outcome of every field (or of ``fields``) that either side has, the winner's order first."""
    keys = fields if fields is not None else dict.fromkeys([*winner, *loser])
    return {key: combine(key, winner.get(key), loser.get(key), choices.get(key)) for key in keys}


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
