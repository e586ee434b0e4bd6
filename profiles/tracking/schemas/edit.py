"""Staff's wishes → event schemas created, changed and deleted. Every process obeys within five seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict, Invalid, NotFound, RuleForbids, Stale
from profiles.models import EventSchema, Source
from profiles.tracking.schemas.enforce import known_schemas
from profiles.tracking.schemas.specs import Fault, clean_specs

MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class SavedSchema:
    """``fields`` are those that really changed; empty when nothing did."""

    schema: EventSchema
    fields: tuple[str, ...]


@transaction.atomic
def create_schema(
    *,
    name: str,
    properties: dict[str, Any],
    description: str = "",
    mode: str = "",
    actor: Actor,
    source: Source,
) -> SavedSchema:
    """Describe events of one name. ``mode`` "" means the setting of the source.

    Raises Invalid with every fault, Conflict when events of that name have a schema.
    """
    name = name.strip()
    faults: list[Fault] = []
    if not 0 < len(name) <= MAX_NAME:
        message = f"Give the event's name, exactly as it is sent, of 1 to {MAX_NAME} characters."
        faults.append({"field": "name", "value": name[:MAX_NAME], "message": message})
    specs, spec_faults = clean_specs(properties)
    _raise([*faults, *spec_faults, *_faults_of(mode, description)])
    schema = EventSchema(name=name, properties=specs, description=description, mode=mode)
    try:
        with transaction.atomic():
            schema.save()
    except IntegrityError as error:
        raise Conflict(f"There is a schema of “{name}” already. Change that one.") from error
    schema.refresh_from_db()
    _record_change("create", schema, ("name", "properties"), actor)
    return SavedSchema(schema, ("name", "properties"))


@transaction.atomic
def change_schema(
    *,
    schema_id: int,
    properties: dict[str, Any] | None = None,
    description: str | None = None,
    mode: str | None = None,
    expected_version: int | None = None,
    actor: Actor,
    source: Source,
) -> SavedSchema:
    """Change what is given (None: as it is); ``properties`` as a whole. The version grows by one.

    The name is fixed: it is the event's. Raises Invalid with every fault, NotFound, Stale.
    """
    schema = _locked(schema_id)
    if expected_version is not None and schema.version != expected_version:
        raise Stale(
            f"The schema of “{schema.name}” was changed by somebody else meanwhile. Look at it again; nothing"
            " was saved."
        )
    wanted: dict[str, Any] = {}
    faults: list[Fault] = []
    if properties is not None:
        wanted["properties"], faults = clean_specs(properties)
    if description is not None:
        wanted["description"] = description
    if mode is not None:
        wanted["mode"] = mode
    _raise([*faults, *_faults_of(mode or "", description or "")])
    changed = tuple(name for name, value in wanted.items() if getattr(schema, name) != value)
    if changed:
        EventSchema.objects.filter(pk=schema.pk).update(
            **{name: wanted[name] for name in changed}, version=F("version") + 1, updated_at=Now()
        )
        schema.refresh_from_db()
        _record_change("update", schema, changed, actor)
    return SavedSchema(schema, changed)


@transaction.atomic
def delete_schema(*, schema_id: int, actor: Actor, source: Source) -> SavedSchema:
    """Events of the name come in unchecked again; what is in quarantine stays there. Raises RuleForbids for
    a shipped one.
    """
    schema = _locked(schema_id)
    if schema.is_builtin:
        raise RuleForbids(
            f"“{schema.name}” ships with the product and stays. Set it to “Observe” to let everything in."
        )
    _record_change("delete", schema, (), actor)
    schema.delete()
    return SavedSchema(schema, ())


def find_schema(schema_id: int) -> EventSchema:
    """Raises NotFound."""
    schema = EventSchema.objects.filter(pk=schema_id).first()
    if schema is None:
        raise NotFound(f"There is no event schema #{schema_id}.")
    return schema


def _locked(schema_id: int) -> EventSchema:
    schema = EventSchema.objects.select_for_update(no_key=True).filter(pk=schema_id).first()
    if schema is None:
        raise NotFound(f"There is no event schema #{schema_id}.")
    return schema


def _faults_of(mode: str, description: str) -> list[Fault]:
    faults: list[Fault] = []
    if mode and mode not in Source.SchemaMode.values:
        known_modes = ", ".join(Source.SchemaMode.values)
        message = f"The mode is one of {known_modes}, or empty for the source's setting."
        faults.append({"field": "mode", "value": mode, "message": message})
    if len(description) > 5000:
        message = f"At most 5,000 characters; this has {len(description):,}."
        faults.append({"field": "description", "value": None, "message": message})
    return faults


def _raise(faults: list[Fault]) -> None:
    if faults:
        raise Invalid(faults)


def _record_change(verb: str, schema: EventSchema, fields: tuple[str, ...], actor: Actor) -> None:
    audit.record(
        f"eventschema.{verb}",
        actor=actor,
        subject=f"eventschema:{schema.pk}",
        detail={"name": schema.name, "fields": list(fields), "version": schema.version},
    )
    transaction.on_commit(known_schemas.forget)
