"""Attributes → the columns the people list can show; and the orders it can have."""

from __future__ import annotations

from profiles.values.attributes import CUSTOM, LABELS, AttributeSpec

# Parameter → label. The first is what the list has without one.
SORTS = {"newest": "Newest", "seen": "Last seen"}
# Columns that are no attribute.
_SPECIAL = {"tags": "Tags", "mail": "E-mail allowed", "seen": "Last seen", "created": "Added"}
# Column → the order its head stands for.
SORTED_BY = {"seen": "seen", "created": "newest"}
_ATTRIBUTES = ("city", "country", "language", "gender", "phone", "birth_date")
DEFAULT_COLUMNS = ("country", "tags", "mail", "seen", "created")
# More would not fit any screen.
MOST_COLUMNS = 8


def available_columns(specs: dict[str, AttributeSpec]) -> dict[str, str]:
    """{key: label} of every column, in the order they are offered and listed in."""
    attributes = {name: LABELS[name] for name in _ATTRIBUTES}
    custom = {key: spec.label for key, spec in specs.items() if key.startswith(CUSTOM)}
    return {**attributes, **custom, **_SPECIAL}
