"""Receipts and events → the newest calls of one source, or of one browser, each with its outcome."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.utils import timezone

from profiles.masking import mask_event, mask_identifier, mask_json, mask_text
from profiles.models import Event, Identifier, LinkInterval, Profile, Receipt
from profiles.tracking.parse.message_ids import column_text, message_uuid
from profiles.tracking.rejected.receipts import describe_receipt, left_out_of, problem_places

PAGE = 50
BROWSER_CALLS = 200
# A browser is looked at while somebody tries it out; older calls are on the profile's page.
BROWSER_TIME = datetime.timedelta(hours=48)
# Rejected items have their browser's id in their payload alone; so many of the newest are looked through.
_REJECTED_READ = 2_000
# Of those that were too large, each of which may be a hundred times the size of another.
_LARGE_READ = 50

APPLIED = Receipt.Outcome.APPLIED
REJECTED = frozenset(Receipt.WAITING)

KIND_LABELS = {**dict(Event.Kind.choices), "": "Call"}


@dataclass(slots=True)
class RecordedCall:
    """One item of a tracking call with its outcome. ``receipt_id`` 0: only the event is known.

    ``person_id`` is the surviving profile. ``properties`` and ``context`` are None where nothing was kept.
    """

    receipt_id: int
    at: datetime.datetime
    kind: str
    name: str
    outcome: str
    message: str = ""
    code: str = ""
    message_id: str = ""
    profile_id: int | None = None
    event_id: int | None = None
    occurred_at: datetime.datetime | None = None
    properties: Any = None
    context: Any = None
    envelope: dict[str, Any] = field(default_factory=dict)
    is_waiting: bool = False
    # Of an item that was applied: what was left out, in words, and where in it that was.
    left_out: str = ""
    left_out_places: tuple[str, ...] = ()
    # How often the same message was sent again, as a page does that is left while it sends; the others were dropped.
    repeats: int = 0

    @property
    def is_repeat(self) -> bool:
        """Whether this is a message received before, which is listed by itself."""
        return self.code == "duplicate_message"

    @property
    def kind_label(self) -> str:
        return str(KIND_LABELS.get(self.kind, self.kind))

    @property
    def outcome_label(self) -> str:
        return str(Receipt.Outcome(self.outcome).label)

    @property
    def is_rejected(self) -> bool:
        return self.outcome in REJECTED

    @property
    def user_id(self) -> str:
        return str(self.envelope.get("user_id") or "")

    @property
    def anonymous_id(self) -> str:
        return str(self.envelope.get("anonymous_id") or "")

    @property
    def marks(self) -> list[str]:
        return list(self.envelope.get("marks") or [])

    @property
    def payload(self) -> dict[str, Any]:
        """What was sent, as far as it is kept."""
        parts = {
            "user_id": self.user_id or None,
            "anonymous_id": self.anonymous_id or None,
            "properties": self.properties,
            "context": self.context,
        }
        return {name: part for name, part in parts.items() if part not in (None, {}, "")}


def newest_calls(source_id: int, *, after: int = 0, limit: int = PAGE) -> list[RecordedCall]:
    """The newest calls of a source, the latest first; only those behind receipt ``after``. Three queries."""
    receipts = Receipt.objects.filter(source_id=source_id)
    if after:
        receipts = receipts.filter(pk__gt=after)
    return _calls(list(receipts.order_by("-pk")[:limit]), source_id)


def calls_of_browser(source_id: int, anonymous_id: str) -> list[RecordedCall]:
    """What one browser sent to a source in the last two days, the latest first, rejected items too; each message once.

    A constant number of queries: whose browser it is or was, their events, receipts, and rejected items.
    """
    since = timezone.now() - BROWSER_TIME
    roots = _profiles_of(anonymous_id)
    events = list(
        Event.objects.of_profiles(*roots)
        .filter(source_id=source_id, occurred_at__gte=since, envelope__anonymous_id=anonymous_id)
        .select_related("name")
        .order_by("-occurred_at", "-pk")[:BROWSER_CALLS]
    )
    members = {event.profile_id for event in events}
    receipts = {receipt.pk: receipt for receipt in _not_applied(source_id, events, anonymous_id, since)}
    calls = _calls(list(receipts.values()), source_id, known=events)
    repeats = [call for call in calls if call.is_repeat]
    calls = [call for call in calls if not call.is_repeat]
    known_ids = {call.event_id for call in calls}
    root_ids = _survivors(members)
    calls += [_of_event(event, root_ids) for event in events if event.pk not in known_ids]
    sent_again = Counter(call.message_id for call in repeats)
    for call in calls:
        call.repeats = sent_again.pop(call.message_id, 0)
    # What it repeats is too old to be listed.
    calls += [call for call in repeats if call.message_id in sent_again]
    return sorted(calls, key=lambda call: (call.at, call.receipt_id, call.event_id or 0), reverse=True)[
        :BROWSER_CALLS
    ]


def _profiles_of(anonymous_id: str) -> list[int]:
    """The surviving profiles that have the browser's id or had it. Two queries."""
    current = Identifier.objects.filter(type__name="anonymous_id", value=anonymous_id)
    past = LinkInterval.objects.filter(type__name="anonymous_id", value=anonymous_id)
    ids = {
        *current.values_list("profile__canonical_id", flat=True)[:100],
        *past.values_list("profile__canonical_id", flat=True)[:100],
    }
    return sorted(ids)


def _not_applied(
    source_id: int, events: Sequence[Event], anonymous_id: str, since: datetime.datetime
) -> Iterable[Receipt]:
    """Receipts worth listing beside the events: merges, clashes, repeats and omissions of these, and rejected items."""
    texts = [text for event in events for text in _message_texts(event)]
    notable = ~Q(outcome=APPLIED) | Q(problems__isnull=False)
    beside = Receipt.objects.filter(notable, source_id=source_id, message_id__in=texts)
    yield from beside.order_by("-pk")[:BROWSER_CALLS]
    waiting = Receipt.objects.filter(payload__isnull=False, resolved_at__isnull=True).order_by("-pk")
    plain = waiting.exclude(code="too_large").values("pk")[:_REJECTED_READ]
    large = waiting.filter(code="too_large").values("pk")[:_LARGE_READ]
    yield from Receipt.objects.filter(
        Q(payload__anonymousId=anonymous_id) | Q(payload__anonymous_id=anonymous_id),
        Q(pk__in=plain) | Q(pk__in=large),
        source_id=source_id,
        received_at__gte=since,
    ).order_by("-pk")[:BROWSER_CALLS]


def _message_texts(event: Event) -> list[str]:
    sent_id = (event.envelope or {}).get("message_id")
    return [column_text(str(sent_id))] if sent_id else [str(event.message_id)]


def _calls(receipts: list[Receipt], source_id: int, known: Sequence[Event] = ()) -> list[RecordedCall]:
    """Receipts with their events and profiles. Two queries; one when the events are known."""
    ids = {receipt.pk: message_uuid(receipt.message_id) for receipt in receipts if receipt.message_id}
    by_message = {event.message_id: event for event in known}
    missing = [message_id for pk, message_id in ids.items() if message_id not in by_message]
    if missing:
        rows = Event.objects.filter(source_id=source_id, message_id__in=missing).select_related("name")
        by_message |= {event.message_id: event for event in rows}
    members = {event.profile_id for event in by_message.values()}
    members |= {receipt.profile_id for receipt in receipts if receipt.profile_id is not None}
    root_ids = _survivors(members)
    return [_call(row, by_message.get(ids[row.pk]) if row.pk in ids else None, root_ids) for row in receipts]


def _call(receipt: Receipt, event: Event | None, root_ids: dict[int, int]) -> RecordedCall:
    call = RecordedCall(
        receipt_id=receipt.pk,
        at=receipt.received_at,
        kind=receipt.kind,
        name=receipt.name,
        outcome=receipt.outcome,
        message=describe_receipt(receipt) if receipt.outcome != APPLIED else receipt.message,
        code=receipt.code,
        message_id=receipt.message_id,
        is_waiting=receipt.payload is not None and receipt.resolved_at is None,
    )
    if receipt.outcome not in REJECTED:
        call.left_out, call.left_out_places = left_out_of(receipt), problem_places(receipt)
    member = receipt.profile_id or (event.profile_id if event else None)
    call.profile_id = root_ids.get(member or 0, member)
    raw = receipt.payload
    if isinstance(raw, dict):
        call.properties = raw.get("traits") or raw.get("properties")
        call.context = raw.get("context")
        call.envelope = {
            "user_id": raw.get("userId") or raw.get("user_id"),
            "anonymous_id": raw.get("anonymousId") or raw.get("anonymous_id"),
        }
    elif event is not None:
        _fill(call, event)
    return call


def _of_event(event: Event, root_ids: dict[int, int]) -> RecordedCall:
    call = RecordedCall(
        receipt_id=0,
        at=event.received_at,
        kind=event.kind,
        name=event.name.name,
        outcome=APPLIED,
        message_id=_message_texts(event)[0],
        profile_id=root_ids.get(event.profile_id, event.profile_id),
    )
    _fill(call, event)
    return call


def _fill(call: RecordedCall, event: Event) -> None:
    call.event_id, call.occurred_at = event.pk, event.occurred_at
    call.kind, call.name = event.kind, call.name or event.name.name
    call.properties, call.context = event.properties, event.context
    call.envelope = event.envelope or {}


def _survivors(members: Iterable[int]) -> dict[int, int]:
    """``{member: surviving profile}``. One query; none for nobody."""
    wanted = list(members)
    if not wanted:
        return {}
    return dict(Profile.objects.filter(pk__in=wanted).values_list("pk", "canonical_id"))


def mask_calls(calls: Iterable[RecordedCall]) -> list[RecordedCall]:
    """For somebody without the right to see personal data. Changes the calls given."""
    masked = list(calls)
    for call in masked:
        call.properties = mask_event(call.kind, call.properties)
        call.context = mask_json(call.context)
        ids = {"user_id": call.user_id, "anonymous_id": call.anonymous_id}
        hidden = {name: mask_identifier(name, value) for name, value in ids.items() if value}
        call.envelope = {**call.envelope, **hidden}
        call.message, call.left_out = mask_text(call.message), mask_text(call.left_out)
    return masked
