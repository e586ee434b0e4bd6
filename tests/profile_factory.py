"""Values → a profile for a test, created by the verb the product uses."""

from __future__ import annotations

import itertools
from typing import Any

from cdp.actors import Actor
from profiles.builtin_sources import builtin_source
from profiles.editing import create_profile
from profiles.models import Profile

_serial = itertools.count(1)


def make_profile(
    *,
    identifiers: list[tuple[str, str]] | None = None,
    tags: list[str] | None = None,
    source: str = "staff",
    actor: Actor | None = None,
    **values: Any,
) -> Profile:
    """A profile; ``make_profile(email="ann@example.com", plan="pro")`` – unknown names are custom attributes.

    Without any value it gets a first name, so that it is not empty.
    """
    if not values and not identifiers:
        values = {"first_name": f"Person {next(_serial)}"}
    named = {key if key in Profile.FIELDS else f"attributes.{key}": value for key, value in values.items()}
    return create_profile(
        values=named,
        identifiers=identifiers or [],
        tags=tags or [],
        actor=actor or Actor.system(),
        source=builtin_source(source),
    ).profile
