"""Staff's wishes → sources created and changed, and their write keys created, rotated and revoked."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from cdp import audit, clock
from cdp.actors import Actor
from cdp.errors import Conflict, Forbidden, Invalid, NotFound, RuleForbids
from profiles.models import IdentifierType, Source, WriteKey
from profiles.tracking.sources import origins, write_keys
from profiles.tracking.sources.may_send import check_may_send
from profiles.tracking.sources.write_keys import digest_of

_CHANNEL_OF_KIND = {WriteKey.Kind.WEB: Source.Channel.WEB, WriteKey.Kind.SERVER: Source.Channel.API}
_KINDS = "Write “web” or “server”."
TRACKING = (Source.Channel.WEB, Source.Channel.API)
_MERGE = "profiles.merge_profile"
MAX_OVERLAP_HOURS = 30 * 24
MAX_ORIGINS = 100
# The hours an old key goes on working, by default.
OVERLAP_HOURS = 24

SettingProblem = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewSource:
    """``write_key`` is in the clear here only; its digest is what is stored."""

    source: Source
    write_key: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """``write_key`` is in the clear here only; its digest is what is stored."""

    key: WriteKey
    write_key: str


@dataclass(frozen=True, slots=True)
class ChangedSource:
    """``fields`` are the names of the settings that are different now."""

    source: Source
    fields: tuple[str, ...]


@transaction.atomic
def create_source(*, name: str, kind: str, actor: Actor) -> NewSource:
    """Make a source with its first write key; ``kind`` is ``web`` or ``server``.

    Raises Forbidden for an actor who may not write people, Invalid, or Conflict when a source has that name.
    """
    check_may_send(actor, "A write key")
    problems: list[SettingProblem] = []
    name = _collect(problems, "name", name, _name)
    if kind not in WriteKey.Kind.values:
        problems.append({"field": "kind", "value": kind, "message": _KINDS})
    if problems:
        raise Invalid(problems)
    _require_free(name)
    source = Source.objects.create(name=name, channel=_CHANNEL_OF_KIND[WriteKey.Kind(kind)])
    made = _make_key(source, kind)
    audit.record("source.create", actor=actor, subject=f"source:{source.pk}", detail={"kind": kind})
    return NewSource(source, made.write_key)


@transaction.atomic
def change_source(*, source_id: int, changes: dict[str, Any], actor: Actor) -> ChangedSource:
    """Set these settings of a source; every process obeys them within five seconds.

    Names are those of the model: ``name``, ``main_type`` (an identifier type's name or id, None for
    customer_id), ``identifies_by_email``, ``needs_confirmation``, ``needs_user_hash``, ``merges_recognized``,
    ``adopts_attributes`` (booleans), ``allowed_origins`` (list of web addresses), ``schema_mode``, ``merges_per_hour``.
    Raises NotFound; Forbidden for an actor who lets recognized people be merged and may not merge; Invalid, naming every
    value that cannot be; Conflict for a name that is taken.
    """
    source = lock_source(source_id)
    problems: list[SettingProblem] = []
    values = {}
    for field, raw in changes.items():
        cleaner = _SETTINGS.get(field)
        if cleaner is None:
            message = f"“{field}” is not a setting of a source."
            problems.append({"field": field, "value": None, "message": message})
        else:
            values[field] = _collect(problems, field, raw, cleaner)
    if problems:
        raise Invalid(problems)
    if "name" in values and values["name"].lower() != source.name.lower():
        _require_free(values["name"])
    fields = tuple(field for field, value in values.items() if getattr(source, field) != value)
    if "merges_recognized" in fields and not source.merges_recognized and not actor.can(_MERGE):
        needed = "the scope merge" if actor.key else "the right “Merge two people”"
        raise Forbidden(
            f"This lets calls merge recognized people, which {actor.name} may not do: it needs {needed}, too."
        )
    if fields:
        for field in fields:
            setattr(source, field, values[field])
        source.save(update_fields=fields)
        detail = {"fields": [*fields]}
        audit.record("source.update", actor=actor, subject=f"source:{source.pk}", detail=detail)
        write_keys.forget_known_keys()
    return ChangedSource(source, fields)


@transaction.atomic
def create_key(*, source_id: int, kind: str, actor: Actor) -> NewKey:
    """One more write key for a source; a site and its backend may share a source and have a key each.

    Raises Forbidden for an actor who may not write people; NotFound; Invalid for a kind that is none; RuleForbids for
    sources nobody sends to.
    """
    check_may_send(actor, "A write key")
    source = lock_source(source_id)
    if kind not in WriteKey.Kind.values:
        raise Invalid([{"field": "kind", "value": kind, "message": _KINDS}])
    if source.channel not in TRACKING:
        raise RuleForbids(f"“{source.name}” receives no tracking calls, so it has no write keys.")
    made = _make_key(source, kind)
    audit.record("writekey.create", actor=actor, subject=f"writekey:{made.key.pk}", detail=_about(made.key))
    return made


@transaction.atomic
def rotate_key(*, key_id: int, actor: Actor, overlap_hours: int = OVERLAP_HOURS) -> NewKey:
    """A new key in the place of one, which goes on working for ``overlap_hours`` (0: ends at once).

    Raises Forbidden for an actor who may not write people; NotFound; Invalid for hours outside 0 to 720; RuleForbids for
    a key that ended or was rotated.
    """
    check_may_send(actor, "A write key")
    old = _key(key_id)
    if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
        message = f"Write a number of hours from 0 to {MAX_OVERLAP_HOURS}."
        raise Invalid([{"field": "overlap_hours", "value": overlap_hours, "message": message}])
    if old.revoked_at is not None:
        raise RuleForbids(f"Key {old.prefix}… is revoked. Create a new key instead.")
    if old.expires_at is not None:
        raise RuleForbids(f"Key {old.prefix}… was already rotated; rotate the newer key instead.")
    old.expires_at = clock.now() + timedelta(hours=overlap_hours)
    old.save(update_fields=["expires_at"])
    made = _make_key(old.source, old.kind)
    detail = {**_about(made.key), "old": old.pk, "overlap_hours": overlap_hours}
    audit.record("writekey.rotate", actor=actor, subject=f"writekey:{made.key.pk}", detail=detail)
    write_keys.forget_known_keys()
    return made


@transaction.atomic
def revoke_key(*, key_id: int, actor: Actor) -> WriteKey:
    """End a key for good; within five seconds its calls are 401 everywhere. Revoking twice changes nothing.

    Raises NotFound.
    """
    key = _key(key_id)
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        audit.record("writekey.revoke", actor=actor, subject=f"writekey:{key.pk}", detail=_about(key))
        write_keys.forget_known_keys()
    return key


def lock_source(source_id: int) -> Source:
    """The source, locked until the transaction ends. Raises NotFound."""
    source = Source.objects.select_for_update().filter(pk=source_id).first()
    if source is None:
        raise NotFound(f"There is no source #{source_id}.")
    return source


def _key(key_id: int) -> WriteKey:
    key = WriteKey.objects.select_for_update(of=("self",)).select_related("source").filter(pk=key_id).first()
    if key is None:
        raise NotFound(f"There is no write key #{key_id}.")
    return key


def _make_key(source: Source, kind: str) -> NewKey:
    write_key = secrets.token_urlsafe(24)
    # A key that begins with a dash would be an option on command lines.
    write_key = write_key if write_key[0].isalnum() else f"k{write_key[1:]}"
    key = WriteKey.objects.create(source=source, kind=kind, prefix=write_key[:8], digest=digest_of(write_key))
    return NewKey(key, write_key)


def _about(key: WriteKey) -> dict[str, Any]:
    return {"source": key.source_id, "kind": str(key.kind), "prefix": key.prefix}


def _require_free(name: str) -> None:
    if Source.objects.filter(name__iexact=name).exists():
        raise Conflict(f"There is a source “{name}” already.")


# --- Settings: each cleaner gives the value as stored, or raises ValueError with a sentence ---------------


def _collect(problems: list[SettingProblem], field: str, raw: Any, cleaner: Callable[[Any], Any]) -> Any:
    try:
        return cleaner(raw)
    except ValueError as error:
        quoted = raw[:60] if isinstance(raw, str) else None
        problems.append({"field": field, "value": quoted, "message": str(error)})
        return None


def _name(raw: Any) -> str:
    name = " ".join(raw.split()) if isinstance(raw, str) else ""
    if not 0 < len(name) <= 60 or "\x00" in name:
        raise ValueError("Give the source a name of 1 to 60 characters.")
    return name


def _yes_or_no(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise ValueError("Write true or false.")
    return raw


def _main_type(raw: Any) -> IdentifierType | None:
    if raw is None or raw == "":
        return None
    if isinstance(raw, IdentifierType):
        return raw
    known = {key: row for row in IdentifierType.objects.all() for key in (row.pk, row.name)}
    identifier_type = known.get(raw) if isinstance(raw, int | str) else None
    if identifier_type is None:
        raise ValueError(f"There is no identifier type “{str(raw)[:40]}”.")
    if identifier_type.strength != IdentifierType.Strength.HARD or not identifier_type.is_unique:
        raise ValueError(f"“{identifier_type.name}” can be several people's, so it cannot be a userId.")
    return identifier_type


def _origins(raw: Any) -> list[str]:
    if not isinstance(raw, list | tuple) or not all(isinstance(address, str) for address in raw):
        raise ValueError("Write a list of web addresses, like https://shop.example.com.")
    if len(raw) > MAX_ORIGINS:
        raise ValueError(f"At most {MAX_ORIGINS} addresses.")
    cleaned = []
    for address in raw:
        try:
            cleaned.append(origins.clean_origin(address))
        except ValueError as error:
            message = f"“{address[:60]}” is not a web address. Write it like https://shop.example.com."
            raise ValueError(message) from error
    return [*dict.fromkeys(cleaned)]


def _schema_mode(raw: Any) -> str:
    if raw not in Source.SchemaMode.values:
        raise ValueError(f"Choose one of: {', '.join(Source.SchemaMode.values)}.")
    return str(raw)


def _merges_per_hour(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= 1_000_000:
        raise ValueError("Write a whole number from 0 to 1000000.")
    return raw


_SETTINGS: dict[str, Callable[[Any], Any]] = {
    "name": _name,
    "main_type": _main_type,
    "identifies_by_email": _yes_or_no,
    "needs_confirmation": _yes_or_no,
    "needs_user_hash": _yes_or_no,
    "merges_recognized": _yes_or_no,
    "adopts_attributes": _yes_or_no,
    "allowed_origins": _origins,
    "schema_mode": _schema_mode,
    "merges_per_hour": _merges_per_hour,
}
SETTINGS = tuple(_SETTINGS)
