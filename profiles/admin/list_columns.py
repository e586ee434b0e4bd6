"""The columns a user wants in the people list, and the heads that sort."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import HttpRequest

from profiles.search.list_options import DEFAULT_COLUMNS, MOST_COLUMNS

KEY = "people_columns"


@dataclass(frozen=True, slots=True)
class Column:
    """``sort_url`` is empty for a column the list cannot be ordered by."""

    key: str
    label: str
    sort_url: str = ""
    is_sorted: bool = False


def known(keys: Iterable[str], offered: dict[str, str]) -> list[str]:
    """Those of the keys that are columns, in the order of the list, as many as fit."""
    wanted = set(keys)
    return [key for key in offered if key in wanted][:MOST_COLUMNS]


def chosen(request: HttpRequest, offered: dict[str, str]) -> list[str]:
    """The columns this user wants, kept with their session."""
    return known(request.session.get(KEY) or DEFAULT_COLUMNS, offered)


def choose(request: HttpRequest, keys: list[str]) -> None:
    """Keep the choice until the user signs out. None of the columns stands for the usual ones."""
    request.session[KEY] = keys
