"""Mappings kept by name, for the next file with the same columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Invalid
from imports.models import Import, SavedMapping

NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Kept:
    """``is_replaced``: there was one of this name, and it says something else now."""

    mapping: SavedMapping
    is_replaced: bool


def clean_name(raw: str) -> str:
    """The name a mapping is kept under. Raises Invalid; so it can be asked before anything is changed."""
    name = raw.strip()[:NAME_LENGTH]
    if not name:
        raise Invalid([{"field": "name", "value": None, "message": "Give the mapping a name to keep it."}])
    return name


@transaction.atomic
def keep_mapping(*, import_id: int, name: str, options: dict[str, Any], actor: Actor) -> Kept:
    """Keep an import's mapping as it is now under a name; one of that name is replaced. Raises Invalid.

    ``options`` are those that go with it: ``policy``, ``on_conflict``, ``clear_marker``.
    """
    name = clean_name(name)
    job = Import.objects.get(pk=import_id)
    mapping, is_new = SavedMapping.objects.update_or_create(
        name=name,
        defaults={
            "headers": job.headers,
            "mapping": job.mapping,
            "options": options,
            "user_id": actor.user_id,
        },
    )
    audit.record(
        "mapping.keep",
        actor=actor,
        subject=f"mapping:{mapping.pk}",
        detail={"import": job.pk, "columns": len(job.mapping), "replaced": not is_new},
    )
    return Kept(mapping, not is_new)
