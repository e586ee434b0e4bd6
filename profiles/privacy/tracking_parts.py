"""What tracking left behind about a person beside their events: calls that went wrong, carts, shared browsers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.db.models import Q

from cdp.personal_data_registry import Subject
from profiles.models import Cart, HeldMerge, Identifier, LinkInterval, Receipt


def _who(user: Any) -> str:
    return user.get_username() if user else "system"


def browsers(subject: Subject) -> Iterator[dict[str, Any]]:
    """Browsers and devices that changed hands: when they were this person's."""
    rows = LinkInterval.objects.filter(profile_id__in=subject.member_ids).select_related("type")
    for row in rows.order_by("pk"):
        yield {
            "type": row.type.name,
            "value": row.value,
            "from": row.started_at,
            "until": row.ended_at,
            "profile_id": row.profile_id,
        }


def held_joins(subject: Subject) -> Iterator[dict[str, Any]]:
    """That a value seemed to join this person with somebody else, and what staff decided; not who it is."""
    rows = HeldMerge.objects.filter(Q(profile_id__in=subject.member_ids) | Q(other_id__in=subject.member_ids))
    for row in rows.select_related("type", "source", "user").order_by("pk"):
        yield {
            "type": row.type.name,
            "value": row.value,
            "why": row.reason,
            "people_it_led_to": row.people,
            "times": row.count,
            "source": row.source.name,
            "first_at": row.created_at,
            "last_at": row.last_at,
            "decision": row.state,
            "decided_by": _who(row.user) if row.decided_at else None,
            "decided_at": row.decided_at,
            "profile_id": row.profile_id if row.profile_id in subject.member_ids else row.other_id,
        }


def carts(subject: Subject) -> Iterator[dict[str, Any]]:
    rows = Cart.objects.filter(profile_id__in=subject.member_ids).select_related("source", "superseded_by")
    for row in rows.order_by("pk"):
        yield {
            "cart_id": row.cart_id,
            "state": row.state,
            "started_at": row.started_at,
            "last_event_at": row.last_event_at,
            "superseded_by": row.superseded_by.cart_id if row.superseded_by else None,
            "source": row.source.name,
            "profile_id": row.profile_id,
        }


# Where an item that was not carried out says whom it is about.
_SAID = (
    "payload ->> 'userId'",
    "payload ->> 'anonymousId'",
    "payload ->> 'previousId'",
    "payload #>> '{traits,email}'",
    "payload #>> '{context,traits,email}'",
    "payload #>> '{properties,email}'",
    "payload #>> '{traits,phone}'",
)

_EXTERNAL = (
    "EXISTS (SELECT FROM jsonb_path_query(once.payload, '$.context.externalIds[*].id') AS said (id)"
    " WHERE lower(said.id #>> '{}') = ANY(%(values)s))"
)


def receipts(subject: Subject) -> Iterator[dict[str, Any]]:
    """Calls that were not simply carried out: repeats, clashes, and what was rejected.

    Rejected items lead to nobody yet; they are looked through for this person's own identifiers.
    """
    mine = Receipt.objects.exclude(outcome=Receipt.Outcome.APPLIED)
    by_person = mine.filter(profile_id__in=subject.member_ids).values_list("pk", flat=True)
    ids = {*by_person, *_rejected_about(subject)}
    for row in mine.filter(pk__in=ids).select_related("source", "resolved_by").order_by("pk"):
        yield {
            "received_at": row.received_at,
            "source": row.source.name,
            "kind": row.kind,
            "name": row.name,
            "message_id": row.message_id,
            "what_became_of_it": row.outcome,
            "why": row.code,
            "said": row.message,
            "call": row.payload,
            "problems": row.problems,
            "resolved": row.resolution,
            "note": row.note,
            "resolved_at": row.resolved_at,
            "resolved_by": _who(row.resolved_by) if row.resolved_by else None,
            "profile_id": row.profile_id,
        }


def _rejected_about(subject: Subject) -> list[int]:
    """Rejected items that name a value of the person. Reads through them; one query."""
    rows = Identifier.objects.filter(profile_id__in=subject.member_ids).values_list("value", "raw")
    values = sorted({text.lower() for pair in rows for text in pair if text})
    if not values:
        return []
    said = " OR ".join(f"lower({place}) = ANY(%(values)s)" for place in _SAID)
    with connection.cursor() as cursor:
        # Put into a new value once: of items that were too large, each look into it would decompress it anew.
        cursor.execute(
            "SELECT r.id FROM profiles_receipt r"
            " CROSS JOIN LATERAL (SELECT r.payload || '{}'::jsonb AS payload OFFSET 0) AS once"
            " WHERE r.outcome = ANY(%(outcomes)s) AND jsonb_typeof(r.payload) = 'object'"
            f" AND ({said.replace('payload', 'once.payload')} OR {_EXTERNAL})",
            {"values": values, "outcomes": list(Receipt.WAITING)},
        )
        return [pk for (pk,) in cursor.fetchall()]
