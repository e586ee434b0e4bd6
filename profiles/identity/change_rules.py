"""A new rule for what identifies a profile → the values already stored follow it, as a job.

A type that stops identifying keeps its values as contact values. The values of a type that starts resolve wherever
exactly one profile has the value; a value that several profiles share stays a contact value.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction

from cdp import audit, job_steps, jobs
from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.models import Job
from profiles import sql
from profiles.identity.graph import refresh_recognized
from profiles.identity.presets import PRESETS
from profiles.models import Identifier, IdentifierType

KIND = "identity.recheck"
CHUNK = 5000

_RESOLVE_WHERE_ALONE = f"""
    UPDATE profiles_identifier AS mine SET resolves = true
    FROM {sql.PROFILES} AS holder JOIN {sql.PROFILES} AS root ON root.id = holder.canonical_id
    WHERE mine.id = ANY(%(ids)s) AND NOT mine.resolves AND NOT mine.is_pending
      AND holder.id = mine.profile_id AND {sql.live_root("root")}
      AND NOT EXISTS (
        SELECT FROM profiles_identifier AS rival
        {sql.join_root("rival.profile_id", member="rival_holder", root="rival_root", is_live=True)}
        WHERE rival.value = mine.value AND rival.type_id = mine.type_id AND rival.id <> mine.id
          AND NOT rival.is_pending
          AND (rival_root.id <> root.id OR rival.resolves OR rival.id < mine.id)
      )
"""


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """How profiles are recognized: one of PRESETS, and whether e-mail is a contact value only."""

    preset: str
    email_is_contact_only: bool


def current_identity() -> IdentityRules:
    """What the types' priorities amount to. One query."""
    types = {row.name: row for row in IdentifierType.objects.filter(name__in=["customer_id", "email"])}
    email_first = types["email"].priority < types["customer_id"].priority
    return IdentityRules("email_first" if email_first else "customer_id_first", not types["email"].is_unique)


@transaction.atomic
def choose_identity(*, preset: str, email_is_contact_only: bool, actor: Actor) -> list[Job]:
    """Set the priorities of a preset and whether e-mail identifies a profile.

    Returns the jobs that bring the values already here in line (none on a fresh installation).
    Raises Invalid for a preset that does not exist, or e-mail first while it identifies nobody.
    """
    if preset not in PRESETS:
        known = " or ".join(PRESETS)
        raise Invalid([{"field": "preset", "value": preset, "message": f"Choose {known}."}])
    if preset == "email_first" and email_is_contact_only:
        message = "E-mail cannot come first while it is only a contact value. Choose one of the two."
        raise Invalid([{"field": "email_is_contact_only", "value": True, "message": message}])
    types = {
        row.name: row for row in IdentifierType.objects.filter(name__in=PRESETS[preset]).select_for_update()
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
    row = IdentifierType.objects.get(pk=type_id)
    if not Identifier.objects.filter(type=row).exists():
        return None
    return jobs.start_job(
        kind=KIND,
        actor=actor,
        params={"type_id": type_id},
        title=f"Bring values of {row} in line",
        permission="profiles.change_identifiertype",
        unit="values",
    )


@job_steps.handler(KIND)
def _recheck(chunk: job_steps.Chunk) -> bool:
    """One chunk of values in id order: whether each resolves, and whether its root is recognized."""
    identifier_type = IdentifierType.objects.get(pk=chunk.params["type_id"])
    after = chunk.cursor.get("after", 0)
    identifiers = Identifier.objects.filter(type=identifier_type, pk__gt=after).order_by("pk")
    rows = list(identifiers.values_list("pk", "profile__canonical_id")[:CHUNK])
    if not rows:
        return False
    ids = [pk for pk, _ in rows]
    with chunk.commit(cursor={"after": ids[-1]}, done=len(ids)):
        if identifier_type.is_unique:
            with connection.cursor() as cursor:
                cursor.execute(_RESOLVE_WHERE_ALONE, {"ids": ids})
        else:
            Identifier.objects.filter(pk__in=ids, resolves=True).update(resolves=False)
        refresh_recognized({root for _, root in rows})
    return len(rows) == CHUNK
