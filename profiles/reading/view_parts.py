"""Ids of surviving profiles → the parts of their views that apps above fill, such as the segments they are in.

An app registers a part in ``AppConfig.ready()``::

    view_parts.register("segments", ViewPart(segments_of, list))

It is in the API's answer under its name, as it is: JSON-ready, and without personal data, since it is not masked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdp.registry import Registry


@dataclass(frozen=True, slots=True)
class ViewPart:
    """``read(root_ids)`` gives the part of those who have one, with all their members have, in a fixed number of queries for
    any number of profiles; ``empty()`` is what the others have.
    """

    read: Callable[[Sequence[int]], Mapping[int, Any]]
    empty: Callable[[], Any]


view_parts: Registry[ViewPart] = Registry("The part of a profile")


def read_parts(root_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """``{root: {name of the part: value}}``. The queries of every part that is registered."""
    parts: dict[int, dict[str, Any]] = {root_id: {} for root_id in root_ids}
    if not parts:
        return parts
    for name, part in view_parts.items():
        values = part.read(root_ids)
        for root_id, of_root in parts.items():
            of_root[name] = values[root_id] if root_id in values else part.empty()
    return parts
