"""What apps registered for the preview of a merge → for each, what it read before the merge compared with after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cdp.registry import Registry
from profiles.reading.profiles import ProfileView

Compare = Callable[[ProfileView], Any]


@dataclass(frozen=True, slots=True)
class PreviewSection:
    """One part of the preview; the name it is registered under is its key in the API's answer.

    ``read(winner_id, loser_id)`` is called with both surviving profiles locked and not yet merged. What it returns
    is called with the winner after the merge, before everything is rolled back, and gives JSON-ready data. Whoever
    may merge sees that, so it must not hold personal data.

    ``template`` shows it on the page of the merge as ``data``: a ``<section>`` above the comparison (``top``), a
    ``<tbody>`` of its four columns, or an ``<li>`` of what the merge does (``closing``). Empty means that only the API has
    it. ``warnings(data)`` are added to the preview's.
    """

    read: Callable[[int, int], Compare]
    template: str = ""
    place: Literal["top", "table", "closing"] = "closing"
    warnings: Callable[[Any], list[str]] | None = None


sections: Registry[PreviewSection] = Registry("The section of the merge preview")


def read_sections(winner_id: int, loser_id: int) -> Callable[[ProfileView], dict[str, Any]]:
    """Let every section read what is there before the merge; the function returned gives their data by name."""
    compares = {name: section.read(winner_id, loser_id) for name, section in sections.items()}
    return lambda result: {name: compare(result) for name, compare in compares.items()}


def warnings_of(data: Mapping[str, Any]) -> list[str]:
    """What the sections warn of, by their data."""
    return [
        warning
        for name, section in sections.items()
        if section.warnings is not None
        for warning in section.warnings(data[name])
    ]
