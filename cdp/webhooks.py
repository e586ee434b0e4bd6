"""A change of a profile → messages to other systems: a transactional outbox, delivered in order.

A verb writes an ``OutboxMessage`` in its own transaction (``publish``), so that what is sent is exactly what
was committed. A beat task fans messages out into one ``Delivery`` per webhook that listens, and sends those.

- At least once: a worker that dies after sending sends again. ``CDP-Message`` carries the message's id.
- In order per profile and webhook: a delivery waits while an earlier one of the same profile is waiting.
- Tried ten times over about two days, then *given up*: later ones flow on, and staff can replay it.
- Nothing is written while no active webhook listens to the topic; a webhook gets what is committed after
  it was made and switched on. Importing a million people costs no outbox row when no webhook listens.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from time import monotonic
from typing import Any

import orjson
from django.db import connection, transaction
from django.db.models.functions import Now

from cdp import audit
from cdp.actors import Actor
from cdp.http_client import Answer, post
from cdp.locks import Lock, try_take
from cdp.models import Delivery, OutboxMessage, Webhook

# Topic → what it means to people, in the order webhooks list them. Apps add theirs.
TOPICS: dict[str, str] = {}


def register_topics(topics: Mapping[str, str]) -> None:
    """Add an app's topics. Raises ValueError for one that is there already."""
    for topic, meaning in topics.items():
        if topic in TOPICS:
            raise ValueError(f"The topic “{topic}” is registered twice.")
        TOPICS[topic] = meaning


# What the button "Send a test" sends; nobody subscribes to it.
TEST_TOPIC = "test"

# Seconds until the next try, by tries so far: quickly first, then over about two days.
BACK_OFF = (10, 30, 120, 600, 1800, 3600, 4 * 3600, 8 * 3600, 12 * 3600, 20 * 3600)
MAX_ATTEMPTS = len(BACK_OFF)
KEPT = datetime.timedelta(days=30)

# A round takes at most PER_ROUND / THREADS * http_client.TOTAL_SECONDS = 60 s, so it is recorded before its
# leases end. A webhook gets a part of the round only: a slow one delays no other for long.
LEASE_SECONDS = 120
PER_WEBHOOK = 10
PER_ROUND = 40
THREADS = 10


# --- Publishing -----------------------------------------------------------------------------------------


def publish(
    topic: str, *, profile_id: int | None, payload: dict[str, Any], other_id: int | None = None
) -> None:
    """Send to the webhooks that listen, once the calling transaction commits. One query when none does.

    ``other_id``: the second profile of a message about two, as a merge is; it keeps its place among the messages of both.
    """
    publish_many(topic, items=[(profile_id, payload)], other_ids=[other_id])


def publish_many(
    topic: str,
    *,
    items: Iterable[tuple[int | None, dict[str, Any]]],
    other_ids: Iterable[int | None] | None = None,
) -> None:
    """The bulk twin of ``publish``: one message per ``(profile_id, payload)``, with ``other_ids`` in their order."""
    if topic not in TOPICS:
        raise ValueError(f"“{topic}” is not a topic.")
    if not is_heard(topic):
        return
    paired = zip(items, repeat(None)) if other_ids is None else zip(items, other_ids, strict=True)
    OutboxMessage.objects.bulk_create(
        [
            OutboxMessage(topic=topic, profile_id=pk, other_id=other, payload=payload)
            for (pk, payload), other in paired
        ],
        batch_size=5000,
    )


def is_heard(topic: str) -> bool:
    """Whether an active webhook listens. One query; ask before collecting payloads for thousands."""
    return Webhook.objects.filter(is_active=True, topics__contains=[topic]).exists()


def heard_topics() -> frozenset[str]:
    """What active webhooks listen to. One query; callers may cache it for some seconds."""
    listening = Webhook.objects.filter(is_active=True).values_list("topics", flat=True)
    return frozenset(topic for topics in listening for topic in topics)


# --- Fan-out --------------------------------------------------------------------------------------------


def fan_out(*, limit: int = 5000) -> int:
    """Make the deliveries of up to ``limit`` new messages; the number of messages done. One statement.

    One at a time (advisory lock), so that deliveries get their ids in the order of the messages.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if not try_take(Lock.WEBHOOK_FAN_OUT):
            return 0
        cursor.execute(
            """
            WITH fresh AS (
                SELECT id, topic, profile_id, other_id, created_at FROM cdp_outboxmessage
                WHERE NOT is_fanned_out ORDER BY id LIMIT %s
            ), made AS (
                INSERT INTO cdp_delivery (webhook_id, message_id, profile_id, other_id, state, attempts, problem)
                SELECT w.id, fresh.id, fresh.profile_id, fresh.other_id, 'waiting', 0, ''
                FROM fresh JOIN cdp_webhook w
                    ON w.is_active AND fresh.topic = ANY(w.topics) AND w.created_at <= fresh.created_at
                ORDER BY fresh.id
                ON CONFLICT DO NOTHING
            )
            UPDATE cdp_outboxmessage SET is_fanned_out = true FROM fresh WHERE cdp_outboxmessage.id = fresh.id
            """,
            [limit],
        )
        return int(cursor.rowcount)


# --- Delivery -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Letter:
    """One delivery, claimed and ready to send."""

    delivery_id: int
    attempts: int
    url: str
    secret: str
    topic: str
    message_id: int
    body: bytes


def deliver_due(*, seconds: float = 45.0) -> int:
    """Fan out, then send what is due until nothing is or the time is up; the number of tries made."""
    until = monotonic() + seconds
    sent = 0
    while True:
        fanned = fan_out()
        letters = _claim()
        sent += len(letters)
        _send_all(letters)
        if not (fanned or letters) or monotonic() >= until:
            return sent


def _claim() -> list[Letter]:
    """Lease due deliveries: the earliest waiting one per profile, at most ``PER_WEBHOOK`` of each webhook.

    What is about two profiles waits for what is earlier about either, and later messages of both wait for it. Each of
    the four ways two messages share a profile is one look into an index. One statement. A claimed row stays *waiting* with
    ``next_at`` pushed past the lease, so a worker that dies gives it back by itself, and later messages of the profile keep
    waiting behind it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH due AS MATERIALIZED (
                SELECT d.id FROM (SELECT id FROM cdp_webhook WHERE is_active ORDER BY random()) w
                CROSS JOIN LATERAL (
                    SELECT d.id FROM cdp_delivery d
                    WHERE d.webhook_id = w.id AND d.state = 'waiting' AND d.next_at <= statement_timestamp()
                      AND NOT EXISTS (
                          SELECT FROM cdp_delivery e
                          WHERE e.webhook_id = d.webhook_id AND e.profile_id = d.profile_id
                            AND e.state = 'waiting' AND e.id < d.id)
                      AND NOT EXISTS (
                          SELECT FROM cdp_delivery e
                          WHERE e.webhook_id = d.webhook_id AND e.other_id = d.profile_id
                            AND e.state = 'waiting' AND e.id < d.id)
                      AND NOT EXISTS (
                          SELECT FROM cdp_delivery e
                          WHERE e.webhook_id = d.webhook_id AND e.profile_id = d.other_id
                            AND e.state = 'waiting' AND e.id < d.id)
                      AND NOT EXISTS (
                          SELECT FROM cdp_delivery e
                          WHERE e.webhook_id = d.webhook_id AND e.other_id = d.other_id
                            AND e.state = 'waiting' AND e.id < d.id)
                    ORDER BY d.next_at, d.id LIMIT %s FOR UPDATE OF d SKIP LOCKED
                ) d LIMIT %s
            )
            UPDATE cdp_delivery d
            SET attempts = d.attempts + 1, next_at = statement_timestamp() + %s * interval '1 second'
            FROM due, cdp_webhook w, cdp_outboxmessage m
            WHERE d.id = due.id AND w.id = d.webhook_id AND m.id = d.message_id
            RETURNING d.id, d.attempts, w.url, w.secret, m.topic, m.id, m.profile_id, m.payload::text, m.created_at
            """,
            [PER_WEBHOOK, PER_ROUND, LEASE_SECONDS],
        )
        rows = cursor.fetchall()
    return [
        Letter(
            pk, attempts, url, secret, topic, message_id, _body(message_id, topic, profile_id, payload, at)
        )
        for pk, attempts, url, secret, topic, message_id, profile_id, payload, at in rows
    ]


def _body(
    message_id: int, topic: str, profile_id: int | None, payload: str, created_at: datetime.datetime
) -> bytes:
    """The same bytes at every try."""
    return orjson.dumps(
        {
            "id": message_id,
            "topic": topic,
            "profile_id": profile_id,
            "created_at": created_at.astimezone(datetime.UTC),
            "data": orjson.Fragment(payload),
        },
        option=orjson.OPT_UTC_Z,
    )


def _send(letter: Letter) -> Answer:
    return post(
        letter.url,
        letter.body,
        secret=letter.secret,
        headers={"CDP-Topic": letter.topic, "CDP-Message": str(letter.message_id)},
    )


def _send_all(letters: Sequence[Letter]) -> None:
    """Send side by side (a slow receiver delays no other), then record every outcome in one UPDATE.

    The threads only talk to the network; the database is this thread's.
    """
    if not letters:
        return
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(_send, letters))
    outcomes = [_outcome(letter, answer) for letter, answer in zip(letters, answers, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE cdp_delivery d
            SET state = o.state, status = o.status, problem = o.problem,
                next_at = statement_timestamp() + o.wait * interval '1 second',
                delivered_at = CASE WHEN o.state = 'delivered' THEN statement_timestamp() END
            FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::smallint[], %s::text[], %s::int[])
                AS o (id, attempts, state, status, problem, wait)
            WHERE d.id = o.id AND d.attempts = o.attempts AND d.state = 'waiting'
            """,
            [list(column) for column in zip(*outcomes, strict=True)],
        )


def _outcome(letter: Letter, answer: Answer) -> tuple[int, int, str, int | None, str, int]:
    """``attempts`` fences: a late answer of a try whose lease ran out does not overwrite the next one's."""
    if answer.is_ok:
        return (letter.delivery_id, letter.attempts, "delivered", answer.status, "", 0)
    gone = answer.status == 410 or letter.attempts >= MAX_ATTEMPTS
    wait = BACK_OFF[min(letter.attempts, MAX_ATTEMPTS) - 1]
    state = "dead" if gone else "waiting"
    return (letter.delivery_id, letter.attempts, state, answer.status, answer.problem, wait)


# --- What staff do --------------------------------------------------------------------------------------


@transaction.atomic
def replay(*, delivery_ids: Iterable[int], actor: Actor) -> int:
    """Try given-up (or delivered) messages again from now, ten times anew; the number taken up.

    Replayed ones come out of order: later messages of the same profile may have been delivered already.
    """
    chosen = Delivery.objects.filter(pk__in=list(delivery_ids)).exclude(state=Delivery.State.WAITING)
    count = chosen.update(state=Delivery.State.WAITING, attempts=0, next_at=Now(), delivered_at=None)
    if count:
        audit.record("webhook.replay", actor=actor, detail={"deliveries": count})
    return count


def send_test(*, webhook_id: int, actor: Actor) -> Delivery:
    """Send one message of topic ``test`` right now and say what became of it; it is not tried again."""
    with transaction.atomic():
        webhook = Webhook.objects.get(pk=webhook_id)
        message = OutboxMessage.objects.create(
            topic=TEST_TOPIC,
            payload={"message": "A test from your customer data platform."},
            is_fanned_out=True,
        )
        message.refresh_from_db(fields=["created_at"])
        # Never due: the beat's worker must not send it as well.
        delivery = Delivery.objects.create(
            webhook=webhook, message=message, state=Delivery.State.DEAD, attempts=1, problem="Being sent."
        )
        audit.record("webhook.test", actor=actor, subject=f"webhook:{webhook.pk}")
    payload = orjson.dumps(message.payload).decode()
    body = _body(message.pk, TEST_TOPIC, None, payload, message.created_at)
    answer = _send(Letter(delivery.pk, 1, webhook.url, webhook.secret, TEST_TOPIC, message.pk, body))
    Delivery.objects.filter(pk=delivery.pk).update(
        state=Delivery.State.DELIVERED if answer.is_ok else Delivery.State.DEAD,
        status=answer.status,
        problem=answer.problem,
        delivered_at=Now() if answer.is_ok else None,
    )
    delivery.refresh_from_db()
    return delivery


def forget_old(*, limit: int = 10_000) -> int:
    """Remove messages older than 30 days that no delivery waits for any more, with their deliveries."""
    old = OutboxMessage.objects.filter(is_fanned_out=True, created_at__lt=Now() - KEPT)
    ids = list(
        old.exclude(deliveries__state=Delivery.State.WAITING)
        .order_by("pk")
        .values_list("pk", flat=True)[:limit]
    )
    Delivery.objects.filter(message_id__in=ids).delete()
    OutboxMessage.objects.filter(pk__in=ids).delete()
    return len(ids)
