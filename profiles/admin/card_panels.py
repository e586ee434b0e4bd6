"""What apps registered for a person's card → the panels of each column and everything their templates need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from django.http import HttpRequest

from cdp.registry import Registry
from profiles.admin.card_rows import AttributeRow, IdentifierRow
from profiles.models import Profile
from profiles.reading.profiles import ProfileView
from profiles.reading.provenance import Provenance
from profiles.values.attributes import AttributeSpec

Column = Literal["about", "activity", "duplicates"]


@dataclass(frozen=True, slots=True)
class CardContext:
    """The person and who looks at them, read once for all panels.

    ``view`` holds personal data; ``display_view``, ``identifiers`` and ``attributes`` are masked where need be.
    ``may`` says what the user may do on this card.
    """

    request: HttpRequest
    root: Profile
    view: ProfileView
    display_view: ProfileView
    specs: dict[str, AttributeSpec]
    origins: dict[str, Provenance]
    can_view_pii: bool
    may: Mapping[str, bool]
    identifiers: list[IdentifierRow]
    attributes: list[AttributeRow]


@dataclass(frozen=True, slots=True)
class CardPanel:
    """One panel: its column, its template, and what the template needs beside what the card gives to all.

    ``context`` returns names that no other panel and not the card itself gives; its number of queries must not grow
    with the data. Without ``permission`` the panel is neither computed nor shown; empty means whoever sees the card.
    """

    column: Column
    template: str
    context: Callable[[CardContext], dict[str, Any]]
    permission: str = ""


# ``order`` decides the place inside the column.
panels: Registry[CardPanel] = Registry("The card panel")


def with_panels(card: CardContext, own: Mapping[str, Any]) -> dict[str, Any]:
    """The card's own context, the templates of each column as ``columns``, and what the panels add.

    Raises ValueError when two of them give the same name: one would show the other's data.
    """
    columns: dict[str, list[str]] = {column: [] for column in get_args(Column)}
    context = {**own, "columns": columns}
    owners = dict.fromkeys(context, "The card")
    for name, panel in panels.items():
        if panel.permission and not card.request.user.has_perm(panel.permission):
            continue
        added = panel.context(card)
        for key in added:
            if key in owners:
                raise ValueError(f"{owners[key]} and the card panel “{name}” both give “{key}”.")
            owners[key] = f"The card panel “{name}”"
        context |= added
        columns[panel.column].append(panel.template)
    return context
