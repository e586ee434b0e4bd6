"""Sources: the doors and systems data comes through, and the keys they write with."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from django.db import transaction
from django.db.models.functions import Lower

from cdp import audit
from cdp.actors import Actor
from profiles.errors import Conflict, Invalid
from profiles.models import Source, WriteKey

_DOORS = {WriteKey.Kind.WEB: Source.Door.WEB, WriteKey.Kind.SERVER: Source.Door.API}


@dataclass(frozen=True, slots=True)
class NewSource:
    """``write_key`` is shown once and kept nowhere."""

    source: Source
    write_key: str


@transaction.atomic
def create_source(*, name: str, kind: str, actor: Actor) -> NewSource:
    """Make a source with its first write key; ``kind`` is ``web`` or ``server``.

    Raises Invalid, or Conflict when a source has that name.
    """
    name = " ".join(name.split())
    problems = []
    if not 0 < len(name) <= 60:
        message = "Give the source a name of 1 to 60 characters."
        problems.append({"field": "name", "value": name[:60], "message": message})
    if kind not in WriteKey.Kind.values:
        problems.append({"field": "kind", "value": kind, "message": "Write “web” or “server”."})
    if problems:
        raise Invalid(problems)
    if Source.objects.annotate(low=Lower("name")).filter(low=name.lower()).exists():
        raise Conflict(f"There is a source “{name}” already.")
    source = Source.objects.create(name=name, door=_DOORS[WriteKey.Kind(kind)])
    key = secrets.token_urlsafe(24)
    WriteKey.objects.create(source=source, kind=kind, prefix=key[:8], digest=digest_of(key))
    audit.record("source.create", actor=actor, subject=f"source:{source.pk}", detail={"kind": kind})
    return NewSource(source, key)


def digest_of(write_key: str) -> str:
    """How a write key is kept and looked up."""
    return hashlib.sha256(write_key.encode()).hexdigest()
