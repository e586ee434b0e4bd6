"""Values and identifiers → the profile they resolve to, updated, or a new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from cdp.actors import Actor
from cdp.errors import Conflict, IdentifierTaken
from profiles.editing import attach_identifier, create_profile, update_profile
from profiles.editing.identifiers import clean_identifiers
from profiles.identity.lookup import clean_pair, resolve
from profiles.identity.presets import CONTACTS
from profiles.identity.types import find_type, identifier_types
from profiles.models import Source
from profiles.tagging import tag_profiles

_TRIES = 3


def upsert_profile(
    *,
    values: dict[str, Any],
    identifiers: Sequence[tuple[str, str]],
    tags: Sequence[str] = (),
    expected_version: int | None = None,
    actor: Actor,
    source: Source,
) -> tuple[int, bool, list[str]]:
    """The profile's id, whether it is new, and warnings.

    However many do the same at once, one profile is made: the second call finds the first one's profile.
    Raises Conflict when the identifiers resolve to several profiles, Invalid, RuleForbids, Stale.
    """
    for _ in range(_TRIES):
        root_id = _find_root(values, identifiers)
        try:
            with transaction.atomic():
                if root_id is None:
                    made = create_profile(
                        values=values, identifiers=identifiers, tags=tags, actor=actor, source=source
                    )
                    return made.profile.pk, True, made.warnings
                warnings = _update(
                    root_id, values, identifiers, tags, expected_version, actor=actor, source=source
                )
                return root_id, False, warnings
        except IdentifierTaken:
            # Somebody took it between our look and our write; look again.
            continue
    raise Conflict("Somebody is changing the owner of these identifiers right now. Try again.")


def _find_root(values: dict[str, Any], identifiers: Sequence[tuple[str, str]]) -> int | None:
    """The root that all known identifiers resolve to; None when none is known."""
    types = identifier_types()
    given = [*identifiers, *((name, values[name]) for name in CONTACTS if values.get(name))]
    pairs = [
        pair
        for name, raw in given
        if (spec := find_type(types, name)) and isinstance(raw, str) and (pair := clean_pair(spec, raw))
    ]
    roots = sorted({hit.root_id for hit in resolve(pairs).values()})
    if len(roots) > 1:
        listed = " and ".join(f"#{root}" for root in roots)
        raise Conflict(
            f"These identifiers belong to {len(roots)} people: {listed}. Merge them first, or send fewer identifiers."
        )
    return roots[0] if roots else None


def _update(
    root_id: int,
    values: dict[str, Any],
    identifiers: Sequence[tuple[str, str]],
    tags: Sequence[str],
    expected_version: int | None,
    *,
    actor: Actor,
    source: Source,
) -> list[str]:
    """Blocked identifiers are left out with a warning, as they are when somebody is created."""
    clean, warnings = clean_identifiers(identifiers, identifier_types())
    update_profile(
        profile_id=root_id, values=values, expected_version=expected_version, actor=actor, source=source
    )
    for item in clean:
        attach_identifier(
            profile_id=root_id, type_name=item.spec.name, raw=item.raw, actor=actor, source=source
        )
    if tags:
        tag_profiles(profile_ids=[root_id], tag_names=tags, actor=actor, source=source)
    return warnings
