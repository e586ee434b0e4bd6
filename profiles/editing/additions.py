"""A profile id → a note, an event, an address or the merge lock added to it, or a lost value promoted."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.db import transaction
from django.db.models.functions import Greatest, Least
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Invalid, NotFound
from profiles.editing.locking import lock_root, touch
from profiles.editing.profiles import Updated, update_profile
from profiles.identity.graph import retried
from profiles.identity.normalize import BadValue, country
from profiles.journal import REQUEST, Cause, Entry, publish_updated, record
from profiles.models import Address, Change, Event, EventName, Note, Profile, Source
from profiles.values import attributes
from profiles.values.alternates import alternates, keep_alternate


@retried
@transaction.atomic
def add_note(*, profile_id: int, text: str, actor: Actor, source: Source, via_id: int | None = None) -> Note:
    """Write a note on a profile. Raises Invalid when empty or over 10,000 characters."""
    text = text.replace("\x00", "").strip()
    if not 0 < len(text) <= 10_000:
        message = (
            "Write a note." if not text else f"A note has at most 10,000 characters; this has {len(text):,}."
        )
        raise Invalid([{"field": "text", "value": None, "message": message}])
    root = lock_root(profile_id)
    note = Note.objects.create(
        profile_id=via_id or root.pk, text=text, user_id=actor.user_id, key_id=actor.key_id
    )
    touch(root)
    audit.record("profile.note", actor=actor, subject=f"profile:{root.pk}", detail={"note": note.pk})
    return note


@retried
@transaction.atomic
def add_event(
    *,
    profile_id: int,
    name: str,
    occurred_at: datetime.datetime | None = None,
    properties: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
    message_id: uuid.UUID | None = None,
    actor: Actor,
    source: Source,
    via_id: int | None = None,
) -> Event:
    """Add one event by hand. A ``message_id`` seen before from this source returns the event it made.

    ``via_id`` is the member whose identifier led here; the event is kept there, so that an unmerge returns it.

    ``occurred_at`` is now when absent; a future time is refused. Raises Invalid.
    """
    name = " ".join(name.replace("\x00", "").split())
    now = timezone.now()
    occurred_at = occurred_at or now
    if not 0 < len(name) <= 255:
        raise Invalid(
            [
                {
                    "field": "name",
                    "value": name[:50],
                    "message": "Give the event a name of 1 to 255 characters.",
                }
            ]
        )
    if occurred_at > now + datetime.timedelta(minutes=1):
        message = "An event cannot have happened in the future."
        raise Invalid([{"field": "occurred_at", "value": occurred_at.isoformat(), "message": message}])
    root = lock_root(profile_id)
    row, _ = EventName.objects.get_or_create(name=name)
    event, is_new = Event.objects.get_or_create(
        source=source,
        message_id=message_id or uuid.uuid4(),
        defaults={
            "profile_id": via_id or root.pk,
            "name": row,
            "occurred_at": occurred_at,
            "properties": properties or {},
            "context": context or {},
        },
    )
    if is_new:
        Profile.objects.filter(pk=root.pk).update(
            last_seen_at=Greatest("last_seen_at", occurred_at),
            first_seen_at=Least("first_seen_at", occurred_at),
        )
        audit.record("profile.event", actor=actor, subject=f"profile:{root.pk}", detail={"event": event.pk})
    return event


@retried
@transaction.atomic
def set_lock(*, profile_id: int, is_locked: bool, actor: Actor, source: Source) -> Profile:
    """Lock a profile against every merge, whoever asks for it, or unlock it."""
    root = lock_root(profile_id)
    if root.is_locked == is_locked:
        return root
    root.is_locked = is_locked
    root.save(update_fields=["is_locked"])
    touch(root)
    kind = Change.Kind.LOCKED if is_locked else Change.Kind.UNLOCKED
    entry = Entry(root.pk, kind, {"locked": [not is_locked, is_locked]})
    record(entry=entry, actor=actor, source=source)
    audit.record("profile.lock" if is_locked else "profile.unlock", actor=actor, subject=f"profile:{root.pk}")
    publish_updated([root.pk], ["locked"])
    return root


_ADDRESS_FIELDS = ("label", "street", "postcode", "city", "state", "country")


@retried
@transaction.atomic
def add_address(
    *,
    profile_id: int,
    values: dict[str, str],
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
    via_id: int | None = None,
) -> Address:
    """Add a further postal address; ``values`` has any of label, street, postcode, city, state, country."""
    clean = {key: (values.get(key) or "").strip() for key in _ADDRESS_FIELDS}
    if not any(clean[key] for key in _ADDRESS_FIELDS[1:]):
        raise Invalid(
            [{"field": "street", "value": None, "message": "Give at least one line of the address."}]
        )
    if clean["country"]:
        try:
            clean["country"] = country(clean["country"])
        except BadValue as error:
            raise Invalid([{"field": "country", "value": clean["country"], "message": str(error)}]) from error
    root = lock_root(profile_id)
    address = Address.objects.create(profile_id=via_id or root.pk, source=source, **clean)
    _record_address(root, [[], [str(address)]], actor=actor, source=source, cause=cause)
    return address


@retried
@transaction.atomic
def remove_address(
    *, profile_id: int, address_id: int, actor: Actor, source: Source, cause: Cause = REQUEST
) -> None:
    """Remove a further address; the journal keeps what it was. Raises NotFound."""
    root = lock_root(profile_id)
    address = Address.objects.filter(pk=address_id, profile__canonical=root).first()
    if address is None:
        raise NotFound(f"Profile #{root.pk} has no such address.")
    gone = str(address)
    address.delete()
    _record_address(root, [[gone], []], actor=actor, source=source, cause=cause)


def _record_address(
    root: Profile, change: list[list[str]], *, actor: Actor, source: Source, cause: Cause
) -> None:
    touch(root)
    entry = Entry(root.pk, Change.Kind.UPDATED, {"addresses": change})
    record(entry=entry, actor=actor, source=source, cause=cause)
    audit.record("profile.address", actor=actor, subject=f"profile:{root.pk}")
    publish_updated([root.pk], ["addresses"])


@retried
@transaction.atomic
def promote_alternate(
    *,
    profile_id: int,
    field: str,
    value: Any,
    actor: Actor,
    source: Source,
    expected_version: int | None = None,
) -> Updated:
    """Make a value that lost the profile's value; the present one becomes the alternate.

    Raises NotFound when the profile has no such alternate.
    """
    same_field = [item for item in alternates([profile_id]).get(profile_id, []) if item["field"] == field]
    if all(item["value"] != value for item in same_field):
        label = attributes.label_of(field, attributes.attribute_specs())
        raise NotFound(f"Profile #{profile_id} has no other {label} like that.")
    updated = update_profile(
        profile_id=profile_id,
        values={field: value},
        actor=actor,
        source=source,
        expected_version=expected_version,
    )
    for replaced, _ in updated.fields.values():
        keep_alternate(profile_id=profile_id, field=field, value=replaced, source=source)
    return updated
