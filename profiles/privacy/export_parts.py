"""One person → the parts of the access file that ``profiles`` holds.

Every column of a table about people must show up here or be declared with its reason (profiles/personal_data.py);
tests/privacy/test_completeness.py enumerates the models and plants a mark in every column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Q, QuerySet

from cdp.personal_data_registry import Section
from cdp.personal_data_registry import Subject as AnySubject
from profiles.consent.ledger import current_consents
from profiles.consent.reachable import reachability
from profiles.models import (
    Address,
    Change,
    Consent,
    DuplicatePair,
    Event,
    Identifier,
    Merge,
    Message,
    Note,
    Profile,
    ProfileTag,
)
from profiles.privacy.tracking_parts import browsers, carts, held_joins, receipts
from profiles.values.alternates import alternates
from profiles.values.attributes import AttributeSpec, attribute_specs, display, label_of, values_of

CHUNK = 1000
_ADDRESS_SAID_NO = "Somebody else with the same address said no later, which counts for the address."


@dataclass(frozen=True)
class Subject(AnySubject):
    """The person a request is about, with the surviving profile's row."""

    root: Profile

    @cached_property
    def specs(self) -> dict[str, AttributeSpec]:
        return attribute_specs()

    @cached_property
    def undone(self) -> set[int]:
        """Merges with somebody else that were taken back: what came over then is not this person's."""
        return set(_merges(self).filter(undone_at__isnull=False).values_list("pk", flat=True))


def _who(user: Any, key: Any) -> str:
    return user.get_username() if user else key.name if key else "system"


def _profile(row: Profile) -> dict[str, Any]:
    return {
        "id": row.pk,
        "belongs_to": row.canonical_id,
        "status": row.status,
        "type": row.type,
        "locked_against_merging": row.is_locked,
        "source": row.source.name,
        "version": row.version,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "first_seen_at": row.first_seen_at,
        "last_seen_at": row.last_seen_at,
        "values": values_of(row),
    }


def person(subject: Subject) -> dict[str, Any]:
    return _profile(subject.root)


def attributes(subject: Subject) -> Iterator[dict[str, Any]]:
    """Every present value with its source, and when it was first and last set, from the journal.

    A value that came by a merge has the source it came from to the record that was merged.
    """
    now = values_of(subject.root)
    first: dict[str, Any] = {}
    own: dict[str, Change] = {}
    others: dict[str, Change] = {}
    for change in _changes(subject).exclude(cause__in=("merge", "unmerge")).iterator(CHUNK):
        told = own if change.profile_id == subject.root.pk else others
        for key in change.fields.keys() & now.keys():
            new = change.fields[key][1]
            if new is not None:
                first[key] = min(first.get(key, change.at), change.at)
            if new == now[key]:
                told[key] = change
    for key, value in now.items():
        last = own.get(key) or others.get(key)
        yield {
            "name": key,
            "label": label_of(key, subject.specs),
            "value": value,
            "reads": display(key, value),
            "source": last.source.name if last else subject.root.source.name,
            "set_by": _who(last.user, last.key) if last else None,
            "first_set_at": first.get(key),
            "last_set_at": last.at if last else None,
        }


def other_values(subject: Subject) -> Iterable[dict[str, Any]]:
    return alternates([subject.root.pk]).get(subject.root.pk, [])


def merged_profiles(subject: Subject) -> Iterator[dict[str, Any]]:
    rows = Profile.objects.filter(pk__in=subject.member_ids).exclude(pk=subject.root.pk)
    for row in rows.select_related("source").defer("search").order_by("pk"):
        yield _profile(row)


def identifiers(subject: Subject) -> Iterator[dict[str, Any]]:
    rows = Identifier.objects.filter(profile_id__in=subject.member_ids).select_related("type", "source")
    for row in rows.order_by("type__priority", "pk"):
        yield {
            "type": row.type.name,
            "value": row.value,
            "as_sent": row.raw or row.value,
            "profile_id": row.profile_id,
            "leads_to_this_person": row.resolves,
            "verified": row.is_verified,
            "waits_for_confirmation": row.is_pending,
            "source": row.source.name,
            "first_seen_at": row.first_seen_at,
            "last_seen_at": row.last_seen_at,
        }


def addresses(subject: Subject) -> Iterator[dict[str, Any]]:
    for row in (
        Address.objects.filter(profile_id__in=subject.member_ids).select_related("source").order_by("pk")
    ):
        yield {
            "label": row.label,
            "street": row.street,
            "postcode": row.postcode,
            "city": row.city,
            "state": row.state,
            "country": row.country,
            "profile_id": row.profile_id,
            "source": row.source.name,
            "added_at": row.created_at,
        }


def tags(subject: Subject) -> Iterator[dict[str, Any]]:
    rows = ProfileTag.objects.filter(profile_id__in=subject.member_ids).select_related("tag", "source")
    for row in rows.order_by("tag__name", "pk"):
        yield {
            "tag": row.tag.name,
            "means": row.tag.description,
            "profile_id": row.profile_id,
            "source": row.source.name,
            "added_at": row.added_at,
        }


def consents(subject: Subject) -> dict[str, Any]:
    """No other person is named: whose no it is that counts for a shared address is theirs to know."""
    now = reachability([subject.root], current_consents([subject.root.pk]))[subject.root.pk]
    rows = (
        Consent.objects.filter(profile_id__in=subject.member_ids)
        .select_related("source", "user", "key")
        .order_by("pk")
    )
    return {
        "now": [
            {
                "channel": channel,
                "purpose": purpose,
                "state": one.consent.state,
                "at": one.consent.at,
                "source": one.consent.source,
                "reachable": one.is_reachable,
                "reason": _ADDRESS_SAID_NO if one.other else one.reason(),
            }
            for (channel, purpose), one in sorted(now.items())
        ],
        "decisions": [
            {
                "channel": row.channel,
                "purpose": row.purpose,
                "state": row.state,
                "decided_at": row.at,
                "wording": row.wording,
                "reason": row.get_reason_display(),
                "proof": row.proof,
                "address": row.address,
                "source": row.source.name,
                "recorded_by": _who(row.user, row.key),
                "recorded_at": row.recorded_at,
                "profile_id": row.profile_id,
            }
            for row in rows
        ],
    }


def events(subject: Subject) -> Iterator[dict[str, Any]]:
    """Oldest first, read in chunks: there may be hundreds of thousands."""
    rows = Event.objects.filter(profile_id__in=subject.member_ids).select_related("name", "source")
    for row in rows.order_by("occurred_at", "pk").iterator(CHUNK):
        yield {
            "name": row.name.name,
            "kind": row.kind,
            "occurred_at": row.occurred_at,
            "received_at": row.received_at,
            "message_id": row.message_id,
            "source": row.source.name,
            "properties": row.properties,
            "context": row.context,
            "rest_of_the_call": row.envelope,
            "profile_id": row.profile_id,
        }


def notes(subject: Subject) -> Iterator[dict[str, Any]]:
    rows = Note.objects.filter(profile_id__in=subject.member_ids).select_related("user", "key")
    for row in rows.order_by("created_at", "pk"):
        yield {
            "text": row.text,
            "written_by": _who(row.user, row.key),
            "written_at": row.created_at,
            "profile_id": row.profile_id,
        }


def messages(subject: Subject) -> Iterator[dict[str, Any]]:
    rows = Message.objects.filter(profile_id__in=subject.member_ids).select_related("user", "mail")
    for row in rows.order_by("created_at", "pk"):
        mail = row.mail
        yield {
            "channel": row.channel,
            "purpose": row.purpose,
            "address": row.address,
            "subject": row.subject,
            "text": row.text,
            "sent_by": _who(row.user, None),
            "written_at": row.created_at,
            "profile_id": row.profile_id,
            "mail": mail
            and {"to": mail.to, "from": mail.sender, "state": mail.state, "sent_at": mail.sent_at},
        }


def _merges(subject: Subject) -> QuerySet[Merge]:
    return Merge.objects.filter(Q(loser_id__in=subject.member_ids) | Q(winner_id__in=subject.member_ids))


def merges(subject: Subject) -> Iterator[dict[str, Any]]:
    """A merge that was taken back joined somebody else: that it happened is told, their values are not."""
    rows = _merges(subject).select_related("user", "key", "source", "undone_by", "undone_by_key")
    for row in rows.order_by("pk"):
        told: dict[str, Any] = {
            "merged_at": row.created_at,
            "merged_by": _who(row.user, row.key),
            "source": row.source.name,
            "cause": {"kind": row.cause, "id": row.cause_id},
            "moved": row.moved,
            "undone_at": row.undone_at,
            "undone_by": _who(row.undone_by, row.undone_by_key),
        }
        if row.undone_at is None:
            told |= {
                "profile_id": row.loser_id,
                "into": row.winner_id,
                "choices": row.choices,
                "rules": row.rules,
                "values_before": row.before,
                "values_after": row.after,
            }
        yield told


def possible_duplicates(subject: Subject) -> Iterator[dict[str, Any]]:
    """That somebody looked like this person, and what staff decided; not who it is."""
    rows = DuplicatePair.objects.filter(Q(a_id__in=subject.member_ids) | Q(b_id__in=subject.member_ids))
    for row in rows.select_related("user", "key").order_by("pk"):
        yield {
            "found_at": row.created_at,
            "found_by": row.get_found_by_display(),
            "how_sure": row.tier,
            "likelihood_in_bits": round(row.score, 2),
            "decision": row.verdict,
            "decided_by": _who(row.user, row.key) if row.decided_at else None,
            "decided_at": row.decided_at,
            "profile_id": row.a_id if row.a_id in subject.member_ids else row.b_id,
        }


def _changes(subject: Subject) -> QuerySet[Change]:
    rows = Change.objects.filter(profile_id__in=subject.member_ids).select_related("source", "user", "key")
    return rows.order_by("at", "pk")


def history(subject: Subject) -> Iterator[dict[str, Any]]:
    """The journal, oldest first. Of a merge that was taken back only the names of fields are told."""
    for row in _changes(subject).iterator(CHUNK):
        is_foreign = row.cause in ("merge", "unmerge") and row.cause_id in subject.undone
        yield {
            "at": row.at,
            "what": row.kind,
            "changes": dict.fromkeys(row.fields, "another person’s") if is_foreign else row.fields,
            "details": None if is_foreign else row.detail,
            "by": _who(row.user, row.key),
            "source": row.source.name,
            "cause": {"kind": row.cause, "id": row.cause_id, "line": row.line},
            "profile_id": row.profile_id,
            "through": row.via_id,
        }


# Name in the file → what it says about the part, and what makes it.
SECTIONS = {
    "person": Section("The person as known now.", person, order=10),
    "attributes": Section("Each value with where it came from and since when.", attributes, order=20),
    "other_values": Section("Values that other records of this person had.", other_values, order=30),
    "merged_profiles": Section(
        "Records merged into this one, with their own values.", merged_profiles, order=40
    ),
    "identifiers": Section(
        "What the person is recognized by: addresses, numbers, browsers; old ones too.", identifiers, order=50
    ),
    "addresses": Section("Further postal addresses.", addresses, order=60),
    "tags": Section("Labels staff or systems put on the person.", tags, order=70),
    "consents": Section(
        "What the person agreed to or refused, now and before, with proof.", consents, order=80
    ),
    "events": Section("What the person did: visits, orders and so on.", events, order=90),
    "calls": Section("Calls about the person that were rejected, repeated or unclear.", receipts, order=100),
    "carts": Section("Shopping carts.", carts, order=110),
    "browsers": Section(
        "Browsers that several people used: when they were this person's.", browsers, order=120
    ),
    "held_joins": Section(
        "When a value would have merged the person with another person.", held_joins, order=130
    ),
    "notes": Section("Remarks staff wrote.", notes, order=140),
    "messages": Section("Messages sent to the person.", messages, order=150),
    "merges": Section("When records were found to be the same person.", merges, order=160),
    "possible_duplicates": Section(
        "When somebody looked like the same person.", possible_duplicates, order=170
    ),
    "history": Section("Every change, with old and new value.", history, order=190),
}
