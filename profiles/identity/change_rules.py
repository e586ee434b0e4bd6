"""Changing what identifies a person once there are people: the values already here follow the new rule.

A type that stops leading to profiles keeps its values as contact values. One that starts leads wherever
exactly one person holds the value; a value that several people share stays a contact value (I7).
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction

from cdp import audit, job_steps, jobs
from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.models import Job
from profiles.builtin import PRESETS
from profiles.editing.identifiers import refresh_recognized
from profiles.models import Identifier, IdentifierType

KIND = "identity.recheck"
CHUNK = 5000

_LEAD_WHERE_ALONE = """
    UPDATE profiles_identifier AS mine SET resolves = true
    FROM profiles_profile AS holder JOIN profiles_profile AS root ON root.id = holder.canonical_id
    WHERE mine.id = ANY(%(ids)s) AND NOT mine.resolves AND NOT mine.is_pending
      AND holder.id = mine.profile_id AND root.status = 'live'
      AND NOT EXISTS (
        SELECT FROM profiles_identifier AS other
        JOIN profiles_profile AS theirs ON theirs.id = other.profile_id
        JOIN profiles_profile AS their_root ON their_root.id = theirs.canonical_id
        WHERE other.value = mine.value AND other.type_id = mine.type_id AND other.id <> mine.id
          AND NOT other.is_pending
          AND their_root.status = 'live'
          AND (their_root.id <> root.id OR other.resolves OR other.id < mine.id)
      )
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """How people are recognized: one of PRESETS, and whether e-mail only serves to write to them."""

    preset: str
    email_is_contact_only: bool


def current_identity() -> Identity:
    """What the types' priorities amount to. One query."""
    types = {kind.name: kind for kind in IdentifierType.objects.filter(name__in=["customer_id", "email"])}
    email_first = types["email"].priority < types["customer_id"].priority
    return Identity("email_first" if email_first else "customer_id_first", not types["email"].is_unique)


@transaction.atomic
def choose_identity(*, preset: str, email_is_contact_only: bool, actor: Actor) -> list[Job]:
    """Set the priorities of a preset and whether e-mail leads to a profile.

    Returns the jobs that bring the values already here in line (none on a fresh installation).
    Raises Invalid for a preset that does not exist, or e-mail first while it leads to nobody.
    """
    if preset not in PRESETS:
        known = " or ".join(PRESETS)
        raise Invalid([{"field": "preset", "value": preset, "message": f"Choose {known}."}])
    if preset == "email_first" and email_is_contact_only:
        message = "E-mail cannot come first while it is only a contact value. Choose one of the two."
        raise Invalid([{"field": "email_is_contact_only", "value": True, "message": message}])
    types = {
        kind.name: kind
        for kind in IdentifierType.objects.filter(name__in=PRESETS[preset]).select_for_update()
    }
    for name, values in PRESETS[preset].items():
        types[name].priority = values["priority"]
    email = types["email"]
    has_changed = email.is_unique == email_is_contact_only
    email.is_unique = email.is_main = not email_is_contact_only
    IdentifierType.objects.bulk_update(types.values(), ["priority", "is_unique", "is_main"])
    audit.record(
        "identity.choose",
        actor=actor,
        detail={"preset": preset, "email_is_contact_only": email_is_contact_only},
    )
    job = recheck_type(type_id=email.pk, actor=actor) if has_changed else None
    return [job] if job else []


@transaction.atomic
def recheck_type(*, type_id: int, actor: Actor) -> Job | None:
    """Bring the values of a type in line with what it now is, as a job; None when there are none."""
    kind = IdentifierType.objects.get(pk=type_id)
    if not Identifier.objects.filter(type=kind).exists():
        return None
    return jobs.start_job(
        kind=KIND,
        actor=actor,
        params={"type_id": type_id},
        title=f"Bring values of {kind} in line",
        permission="profiles.change_identifiertype",
        unit="values",
    )


@job_steps.handler(KIND)
def _recheck(chunk: job_steps.Chunk) -> bool:
    """One chunk of values in id order: whether each leads to its profile, and whose holders are recognized."""
    kind = IdentifierType.objects.get(pk=chunk.params["type_id"])
    after = chunk.cursor.get("after", 0)
    found = Identifier.objects.filter(type=kind, pk__gt=after).order_by("pk")
    rows = list(found.values_list("pk", "profile__canonical_id")[:CHUNK])
    if not rows:
        return False
    ids = [pk for pk, _ in rows]
    with chunk.commit(cursor={"after": ids[-1]}, done=len(ids)):
        if kind.is_unique:
            with connection.cursor() as cursor:
                cursor.execute(_LEAD_WHERE_ALONE, {"ids": ids})
        else:
            Identifier.objects.filter(pk__in=ids, resolves=True).update(resolves=False)
        refresh_recognized({root for _, root in rows})
    return len(rows) == CHUNK
