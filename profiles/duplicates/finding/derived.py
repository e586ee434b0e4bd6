"""What follows from pairs, wherever they change: pairs by way of a third, and groups."""

from __future__ import annotations

from collections.abc import Sequence

from profiles.duplicates.finding import clusters, transitive


def refresh(people: Sequence[int]) -> None:
    """Bring what these people's pairs lead to up to date, in the caller's transaction. Some queries for any number."""
    transitive.refresh(people)
    clusters.refresh(people)


def rebuild() -> dict[str, int]:
    """The same for everybody; how many pairs by way of a third and how many cases there are."""
    return {"through": transitive.rebuild(), "cases": clusters.rebuild()}
