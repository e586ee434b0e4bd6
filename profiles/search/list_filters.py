"""Filters that rooms and apps above the search register → filters of the people list, its API and bulk actions.

``profiles.search.filters.ProfileFilter`` has the filters about what a profile itself has. A filter by what belongs to
somebody above (an import, a suggestion, a segment) is registered there, in ``AppConfig.ready()``::

    list_filters.register("import", ListFilter(…))

The name is its parameter, and ``order`` its place in the filter panel, whose own fields are at 10 to 80.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import django_filters
from django.db.models import QuerySet

from cdp.registry import Registry
from profiles.models import Profile

Roots = QuerySet[Profile]
# (value, label) pairs.
Choices = list[tuple[str, str]]


def _no_choices() -> Choices:
    return []


@dataclass(frozen=True, slots=True)
class ListFilter:
    """A filter of the people list.

    ``filter_class`` reads the parameter: a class of profiles/search/filters.py, or a ``partial`` of one with its
    arguments; it refuses a bad value with a sentence. ``apply(roots, value)`` narrows the list by what it read; it may
    raise Invalid. As every filter it looks at all members of a profile, by a subquery, never by a JOIN.
    ``sentence(values)`` is what the list says while it is in force, after the label: operator and value, such as
    ("is", "#88"). ``template`` draws its field in the panel from ``field``, a profiles.admin.filter_panel.PanelField;
    ``choices`` are read for every page with the panel.
    ``description`` and ``api_type`` describe the parameter to callers of the API. ``names_people``: whether what is
    typed may name somebody; a saved view with such a filter is shown to those who see personal data alone.
    """

    label: str
    filter_class: Callable[..., django_filters.Filter]
    apply: Callable[[Roots, Any], Roots]
    sentence: Callable[[list[str]], tuple[str, str]]
    template: str
    description: str
    api_type: Any = str
    choices: Callable[[], Choices] = _no_choices
    names_people: bool = True

    def make(self) -> django_filters.Filter:
        """The filter for one ``ProfileFilter``."""
        return self.filter_class(label=self.label, method=lambda roots, name, value: self.apply(roots, value))


def yes_or_no(values: list[str]) -> tuple[str, str]:
    """The sentence of a filter that is true or false."""
    said = values[-1].lower()
    return "is", {"true": "yes", "1": "yes", "false": "no", "0": "no"}.get(said, said)


list_filters: Registry[ListFilter] = Registry("The filter of the people list")
