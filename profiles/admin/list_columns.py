"""The columns of the people list: which there are, which a user chose, and the heads that sort."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from profiles.values.attributes import CUSTOM, LABELS, AttributeSpec

KEY = "people_columns"
# Columns that are no attribute. ``sort``: the order of the list their head stands for.
_SPECIAL = {"tags": "Tags", "mail": "E-mail allowed", "seen": "Last seen", "created": "Added"}
SORTED_BY = {"seen": "seen", "created": "newest"}
_ATTRIBUTES = ("city", "country", "language", "gender", "phone", "birth_date")
DEFAULT = ("country", "tags", "mail", "seen", "created")
# More would not fit any screen.
MOST = 8


@dataclass(frozen=True, slots=True)
class Column:
    """``sort_url`` is empty for a column the list cannot be ordered by."""

    key: str
    label: str
    sort_url: str = ""
    is_sorted: bool = False


def available(specs: dict[str, AttributeSpec]) -> dict[str, str]:
    """{key: label} of every column, in the order they are offered and listed in."""
    attributes = {name: LABELS[name] for name in _ATTRIBUTES}
    custom = {key: spec.label for key, spec in specs.items() if key.startswith(CUSTOM)}
    return {**attributes, **custom, **_SPECIAL}


def chosen(request: HttpRequest, offered: dict[str, str]) -> list[str]:
    """The columns this user wants, kept with their session."""
    wanted = request.session.get(KEY) or DEFAULT
    return [key for key in offered if key in wanted][:MOST]


def choose(request: HttpRequest, keys: list[str], offered: dict[str, str]) -> None:
    """Keep the choice until the user signs out. None of the columns stands for the usual ones."""
    request.session[KEY] = [key for key in keys if key in offered][:MOST]
