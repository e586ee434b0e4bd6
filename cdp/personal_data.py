"""The platform's own personal data: the audit log, messages to other systems, mail → classes and parts of the access file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q

from cdp.looks import label_of, looks_at
from cdp.models import AuditEntry, Delivery, OutboxMessage
from cdp.personal_data_registry import Provider, Section, Subject, Table

CHUNK = 1000

TABLES = (
    Table(
        "cdp.AuditEntry",
        identifying=(
            "actor",
            "detail",
            "subject",
        ),
        personal=(
            "at",
            "action",
        ),
        technical=(
            "id",
            "user",
            "key",
            "address",
            "request_id",
            "sealed",
            "digest",
        ),
        not_exported={
            "user": "Who it was is in the file by name, as it was then.",
            "key": "Who it was is in the file by name, as it was then.",
            "address": "The staff member's network address, not the person's.",
            "request_id": "A number of the system.",
            "sealed": "Protects the log against changes; says nothing about the person.",
            "digest": "Protects the log against changes; says nothing about the person.",
        },
    ),
    Table(
        "cdp.Look",
        identifying=("actor", "subject"),
        personal=("at", "kind", "is_masked"),
        technical=("id", "user", "key", "profile_ids", "address", "request_id"),
        not_exported={
            "user": "Who it was is in the file by name, as it was then.",
            "key": "Who it was is in the file by name, as it was then.",
            "profile_ids": "The person's own number, and those of other people on the same page.",
            "address": "The staff member's network address, not the person's.",
            "request_id": "A number of the system.",
        },
    ),
    Table(
        "cdp.Mail",
        identifying=(
            "to",
            "subject",
            "text",
            "html",
            "attachments",
        ),
        personal=(
            "state",
            "created_at",
            "sent_at",
        ),
        technical=(
            "id",
            "sender",
            "is_secret",
            "attempts",
            "next_at",
            "problem",
            "job",
        ),
        not_exported={
            "subject": "The message's subject, which is in the file.",
            "text": "The message's text, which is in the file.",
            "html": "The message's text, which is in the file.",
            "attachments": "Messages to people have none.",
            "is_secret": "Mails with links are for staff.",
            "attempts": "How often the mail server was tried.",
            "next_at": "When the mail server is tried next.",
            "problem": "What the mail server answered.",
            "job": "Mails to staff about jobs are not about one person.",
            "created_at": "The same moment as the message's.",
        },
    ),
    Table(
        "cdp.OutboxMessage",
        identifying=("payload",),
        personal=(
            "topic",
            "profile_id",
            "other_id",
            "created_at",
        ),
        technical=(
            "id",
            "is_fanned_out",
        ),
        not_exported={
            "is_fanned_out": "A step inside the system.",
            "other_id": "The second profile of a merge, which the payload names.",
        },
    ),
    Table(
        "cdp.Delivery",
        personal=(
            "profile_id",
            "other_id",
            "state",
            "delivered_at",
        ),
        technical=(
            "id",
            "webhook",
            "message",
            "attempts",
            "next_at",
            "status",
            "problem",
        ),
        not_exported={
            "message": "Part of the message it belongs to.",
            "profile_id": "The same as the message's.",
            "other_id": "The same as the message's.",
            "attempts": "How often the network was tried.",
            "next_at": "When the network is tried next.",
            "status": "What the other system's server answered.",
            "problem": "What the other system's server answered.",
        },
    ),
)

NOT_PERSONAL = {
    "admin.LogEntry": "Not written: the audit log takes its place.",
    "auth.Group": "Roles of staff.",
    "auth.Permission": "Rights of staff.",
    "cdp.ApiKey": "Keys of other systems.",
    "cdp.ApiKeyUse": "Counts of calls by address, without ids, and errors without what they quote.",
    "cdp.IdempotencyKey": "Copies of answers to other systems, gone after a day.",
    "cdp.Job": "Numbers of profiles for work in progress, and the filter that chose them; what was done to a person is in the history.",
    "axes.AccessAttempt": "Wrong passwords of staff, gone after minutes.",
    "axes.AccessAttemptExpiration": "Not written.",
    "axes.AccessFailureLog": "Not written.",
    "axes.AccessLog": "Not written: the audit log takes its place.",
    "cdp.LoginSession": "Staff who are signed in.",
    "cdp.RateWindow": "How often other systems called.",
    "cdp.User": "Staff logins.",
    "cdp.Webhook": "Addresses of other systems.",
    "cdp.Worker": "Processes of the system.",
    "contenttypes.ContentType": "Names of tables.",
    "otp_totp.TOTPDevice": "Second factors of staff.",
}


def looks(subject: Subject) -> Iterator[dict[str, Any]]:
    """Who was shown this person, where, and with how many others. Index look-ups by the ids and files."""
    for look in looks_at(subject.member_ids).order_by("pk").iterator(CHUNK):
        yield {
            "at": look.at,
            "who": look.actor,
            "looked_at": label_of(look.kind),
            "people_on_it": len(look.profile_ids),
            "was_masked": look.is_masked,
            "of": look.subject,
        }


def access(subject: Subject) -> Iterator[dict[str, Any]]:
    """Who changed, exported or deleted this person. Index look-ups by subject."""
    subjects = [f"profile:{member}" for member in subject.member_ids]
    for entry in AuditEntry.objects.filter(subject__in=subjects).order_by("pk").iterator(CHUNK):
        yield {
            "at": entry.at,
            "who": entry.actor,
            "did": entry.action,
            "to": entry.subject,
            "details": entry.detail,
        }


def sent_to_systems(subject: Subject) -> Iterator[dict[str, Any]]:
    """Messages to other systems about changes, as long as the messages are kept (30 days)."""
    members = subject.member_ids
    rows = OutboxMessage.objects.filter(Q(profile_id__in=members) | Q(other_id__in=members))
    sent: dict[int, list[dict[str, Any]]] = {}
    for delivery in Delivery.objects.filter(message__in=rows).select_related("webhook").order_by("pk"):
        sent.setdefault(delivery.message_id, []).append(
            {"to": delivery.webhook.name, "state": delivery.state, "delivered_at": delivery.delivered_at}
        )
    for message in rows.order_by("pk"):
        yield {
            "what": message.topic,
            "at": message.created_at,
            "said": message.payload,
            "profile_id": message.profile_id,
            "sent": sent.get(message.pk, []),
        }


PROVIDER = Provider(
    tables=TABLES,
    not_personal=NOT_PERSONAL,
    sections={
        "access": Section("Who changed, exported or deleted the data.", access, order=200),
        "looks": Section(
            "Who looked at the data, and in what kind of page, answer or file.", looks, order=201
        ),
        "told_outside": Section("Other systems that were notified of changes.", sent_to_systems, order=210),
    },
)
