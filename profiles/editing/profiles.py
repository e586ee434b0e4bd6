"""Values and identifiers → a profile created or updated."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from cdp import audit, webhooks
from cdp.actors import Actor
from cdp.errors import Invalid
from profiles.editing.identifiers import (
    check_free,
    check_limits,
    clean_identifiers,
    insert_identifiers,
)
from profiles.editing.locking import check_version, lock_root
from profiles.identity.graph import refresh_recognized, retried
from profiles.identity.presets import CONTACTS
from profiles.identity.types import identifier_types
from profiles.journal import REQUEST, Cause, Entry, publish_updated, record
from profiles.models import Change, Identifier, Profile, Source
from profiles.tagging import tag_profiles
from profiles.values import attributes


@dataclass(frozen=True, slots=True)
class Created:
    profile: Profile
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Updated:
    """``fields`` is ``{field: [old, new]}``; empty when nothing was different."""

    profile: Profile
    fields: dict[str, list[Any]]


@retried
@transaction.atomic
def create_profile(
    *,
    values: dict[str, Any] | None = None,
    identifiers: Iterable[tuple[str, str]] = (),
    tags: Iterable[str] = (),
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
) -> Created:
    """Create one profile. An e-mail or phone among ``values`` is an identifier as well, and the other way round.

    ``values`` is ``{field: raw}`` with ``attributes.<name>`` for custom ones, ``identifiers`` are
    ``(type name, raw)``. A browser id is generated when none is given; blocked identifiers are left
    out with a warning. Raises Invalid (all problems at once), IdentifierTaken, RuleForbids.
    """
    types = identifier_types()
    clean = attributes.clean_values(values or {})
    pairs = [*identifiers, *((name, clean[name]) for name in CONTACTS if clean.get(name))]
    cleaned, warnings = clean_identifiers(pairs, types)
    if not any(item.spec.name == "anonymous_id" for item in cleaned):
        generated, _ = clean_identifiers([("anonymous_id", str(uuid.uuid4()))], types)
        cleaned += generated
    _check_not_empty(clean, pairs)
    for item in cleaned:
        if item.spec.name in CONTACTS and not clean.get(item.spec.name):
            clean[item.spec.name] = item.value
    check_free(cleaned, root_id=None)
    check_limits(cleaned, root_id=None)
    profile = _insert(clean, cleaned, source)
    rows = insert_identifiers(cleaned, profile_id=profile.pk, source=source)
    _journal_created(profile, clean, rows, actor=actor, source=source, cause=cause)
    webhooks.publish("profile.created", profile_id=profile.pk, payload={"profile_id": profile.pk})
    if tags:
        tag_profiles(profile_ids=[profile.pk], tag_names=list(tags), actor=actor, source=source, cause=cause)
    return Created(profile, warnings)


def _check_not_empty(clean: dict[str, Any], pairs: list[tuple[str, str]]) -> None:
    if any(value is not None for value in clean.values()) or pairs:
        return
    message = "Give at least a first name, a last name or one identifier."
    raise Invalid([{"field": "first_name", "value": None, "message": message}])


def _insert(clean: dict[str, Any], identifiers: Iterable[Any], source: Source) -> Profile:
    now = timezone.now()
    profile = Profile(source=source, first_seen_at=now, last_seen_at=now, created_at=now, updated_at=now)
    profile.is_recognized = any(item.spec.makes_recognized for item in identifiers)
    for key, value in clean.items():
        attributes.set_value(profile, key, value)
    profile.save()
    return profile


def _journal_created(
    profile: Profile,
    clean: dict[str, Any],
    rows: list[Identifier],
    *,
    actor: Actor,
    source: Source,
    cause: Cause,
) -> None:
    fields: dict[str, list[Any]] = {key: [None, value] for key, value in clean.items() if value is not None}
    fields["identifiers"] = [[], [str(row) for row in rows]]
    entry = Entry(profile.pk, Change.Kind.CREATED, fields)
    record(entry=entry, actor=actor, source=source, cause=cause)
    audit.record("profile.create", actor=actor, subject=f"profile:{profile.pk}")


@retried
@transaction.atomic
def update_profile(
    *,
    profile_id: int,
    values: dict[str, Any],
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
    expected_version: int | None = None,
    via_id: int | None = None,
) -> Updated:
    """Set or clear (None) attributes of a profile; what is equal already is left alone.

    Keys as in ``create_profile``. A new e-mail or phone is kept as one more identifier; the old one still
    resolves here. Raises Stale when ``expected_version`` is not the current one, Invalid, IdentifierTaken.
    """
    clean = attributes.clean_values(values)
    root = lock_root(profile_id)
    check_version(root, expected_version)
    fields: dict[str, list[Any]] = {
        key: [old, value] for key, value in clean.items() if (old := attributes.get_value(root, key)) != value
    }
    if not fields:
        return Updated(root, {})
    added = _attach_contacts(root, via_id or root.pk, {key: new for key, (_, new) in fields.items()}, source)
    for key, (_, new) in fields.items():
        attributes.set_value(root, key, new)
    root.version += 1
    root.updated_at = timezone.now()
    columns = {"attributes" if key.startswith(attributes.CUSTOM) else key for key in fields}
    root.save(update_fields=[*columns, "version", "updated_at"])
    if added:
        refresh_recognized([root.pk])
        root.refresh_from_db(fields=["is_recognized"])
    journal = {**fields, **({"identifiers": [[], added]} if added else {})}
    record(
        entry=Entry(root.pk, Change.Kind.UPDATED, journal, via_id=via_id),
        actor=actor,
        source=source,
        cause=cause,
    )
    audit.record(
        "profile.update", actor=actor, subject=f"profile:{root.pk}", detail={"fields": sorted(fields)}
    )
    publish_updated([root.pk], fields)
    return Updated(root, fields)


def _attach_contacts(root: Profile, member_id: int, values: dict[str, Any], source: Source) -> list[str]:
    pairs = [(name, values[name]) for name in CONTACTS if values.get(name)]
    if not pairs:
        return []
    identifiers, _ = clean_identifiers(pairs, identifier_types())
    existing = set(Identifier.objects.of_profiles(root.pk).values_list("type__name", "value"))
    new_identifiers = [item for item in identifiers if item.pair not in existing]
    check_free(identifiers, root_id=root.pk)
    check_limits(new_identifiers, root_id=root.pk)
    return [str(row) for row in insert_identifiers(new_identifiers, profile_id=member_id, source=source)]
