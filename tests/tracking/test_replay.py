"""Rejected items sent again: onto the right profile, with their own time, once; one by one and many at once."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from django.db import OperationalError
from django.utils import timezone

from cdp.actors import Actor
from cdp.errors import Conflict, Forbidden, Invalid, NotFound
from cdp.jobs import run, run_to_end
from cdp.models import AuditEntry, Job, User
from profiles.models import Event, Receipt
from profiles.tracking.http.batch import open_batch, read_entries
from profiles.tracking.http.body import parse
from profiles.tracking.ingest.ingest import ingest_items
from profiles.tracking.rejected import replay
from profiles.tracking.rejected.receipts import Choice, parse_choice, replays_of, waiting
from profiles.tracking.rejected.repair import Repair
from profiles.tracking.rejected.replay import dismiss, dismiss_many, replay_many, replay_receipt
from profiles.tracking.sources.write_keys import Sender
from tests.profile_factory import make_profile
from tests.tracking.rejected import make_source, reject, send

pytestmark = pytest.mark.django_db
LONG_AGO = timezone.now() - datetime.timedelta(days=3)


@pytest.fixture
def actor(ada: User) -> Actor:
    return Actor.of_user(ada)


def cart(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Added to Cart", "messageId": str(uuid.uuid4()), **fields}


def test_a_corrected_item_lands_on_its_person_at_its_time(actor: Actor, ada: User) -> None:
    source, ann = make_source(), make_profile(identifiers=[("customer_id", "C-1")])
    item = cart(properties={"sku": "S", "quantity": 1})
    row = reject(source, item, at=LONG_AGO)
    result = replay_receipt(receipt_id=row.pk, payload={**item, "userId": "C-1"}, actor=actor)
    assert (result.outcome, result.profile_id) == ("applied", ann.pk)
    event = Event.objects.get(source=source)
    assert (event.profile_id, event.name.name, event.occurred_at) == (ann.pk, "Added to Cart", LONG_AGO)
    assert str(event.message_id) == item["messageId"]
    row.refresh_from_db()
    assert (row.resolution, row.resolved_by, row.payload) == ("replayed", ada, item)
    assert not waiting().exists()
    made = Receipt.objects.get(replay_of=row)
    assert (made.outcome, made.profile_id, replays_of(row)) == ("applied", ann.pk, [made])
    result = AuditEntry.objects.get(action="receipt.replay")
    assert (result.subject, result.detail) == (f"receipt:{row.pk}", {"outcome": "applied", "corrected": True})


def test_the_time_an_item_names_is_its_own(actor: Actor) -> None:
    source, when = make_source(), LONG_AGO - datetime.timedelta(hours=5)
    row = reject(source, cart(anonymousId="b-1", timestamp=when.isoformat()), at=LONG_AGO)
    replay_receipt(receipt_id=row.pk, actor=actor)
    assert Event.objects.get(source=source).occurred_at == when


def test_what_is_rejected_again_waits_again_with_its_first_time(actor: Actor) -> None:
    source, item = make_source(), cart()
    row = reject(source, item, at=LONG_AGO)
    result = replay_receipt(receipt_id=row.pk, payload={**item, "properties": {"a": 1}}, actor=actor)
    assert (result.outcome, result.code, result.is_rejected) == ("invalid", "missing_identifier", True)
    again = waiting().get()
    assert (again.replay_of_id, again.payload["properties"]) == (row.pk, {"a": 1})
    assert not Event.objects.filter(source=source).exists()
    done = replay_receipt(receipt_id=again.pk, payload={**item, "anonymousId": "b-1"}, actor=actor)
    assert done.outcome == "applied"
    assert Event.objects.get(source=source).occurred_at == LONG_AGO


def test_an_item_is_carried_out_once(actor: Actor) -> None:
    source = make_source()
    item = cart(anonymousId="b-1")
    row, twin = reject(source, item), reject(source, item)
    assert replay_receipt(receipt_id=row.pk, actor=actor).outcome == "applied"
    with pytest.raises(Conflict) as refused:
        replay_receipt(receipt_id=row.pk, actor=actor)
    assert refused.value.message == f"Item #{row.pk} was replayed already."
    assert replay_receipt(receipt_id=twin.pk, actor=actor).outcome == "duplicate"
    assert Event.objects.filter(source=source).count() == 1


def test_what_came_without_a_message_id_keeps_the_one_it_got(actor: Actor) -> None:
    source, given = make_source(), str(uuid.uuid4())
    row = reject(source, {"type": "page", "anonymousId": "b-1"}, message_id=given)
    assert replay_receipt(receipt_id=row.pk, actor=actor).message_id == given


def test_a_single_calls_item_is_read_by_its_kind(actor: Actor) -> None:
    source = make_source()
    row = reject(source, {"anonymousId": "b-1", "traits": {"firstName": "Ann"}}, kind="identify")
    assert replay_receipt(receipt_id=row.pk, actor=actor).outcome == "applied"
    assert Event.objects.get(source=source).kind == "identify"


def test_what_a_batch_said_for_all_is_replayed_with_each(actor: Actor) -> None:
    """The sender's clock and the context stand around the items: a replay reads the item by them as well."""
    source, now = make_source(), timezone.now()
    hour = datetime.timedelta(hours=1)
    item = {
        "type": "track",
        "anonymousId": "b",
        "timestamp": (now - 3 * hour).isoformat(),
        "messageId": "m-1",
    }
    body = {
        "batch": [item],
        "sentAt": (now - 2 * hour).isoformat(),
        "context": {"userAgent": "x", "ip": "203.0.113.7"},
    }
    call = open_batch(parse(orjson.dumps(body)), kind=None)
    ingest_items(list(read_entries(call, received_at=now)), sender=Sender(0, source, False))
    row = waiting().get()
    assert row.payload["context"] == body["context"]
    replay_receipt(receipt_id=row.pk, payload={**(row.payload or {}), "event": "Viewed"}, actor=actor)
    event = Event.objects.get(source=source)
    assert abs(event.occurred_at - (now - hour)) < datetime.timedelta(seconds=5)
    assert event.context["userAgent"] == "x"


def test_what_cannot_be_replayed(actor: Actor, vic: User) -> None:
    source = make_source()
    row = reject(source)
    kept = send(source, {"type": "page", "anonymousId": "b-1"}).results[0]
    applied = Receipt.objects.get(message_id=kept.message_id)
    with pytest.raises(NotFound) as gone:
        replay_receipt(receipt_id=10**9, actor=actor)
    assert gone.value.message == "There is no receipt #1000000000."
    with pytest.raises(Conflict) as nothing:
        replay_receipt(receipt_id=applied.pk, actor=actor)
    assert nothing.value.message == f"Item #{applied.pk} has nothing to replay: applied."
    with pytest.raises(Invalid) as wrong:
        replay_receipt(receipt_id=row.pk, payload=[1], actor=actor)  # type: ignore[arg-type]
    assert wrong.value.message == "An item is a JSON object, written in curly brackets."
    with pytest.raises(Forbidden) as forbidden:
        replay_receipt(receipt_id=row.pk, actor=Actor.of_user(vic))
    assert forbidden.value.message == "vic may not replay or dismiss rejected items."
    assert waiting().get() == row


def test_a_payload_that_nests_too_deep_waits_again(actor: Actor) -> None:
    deep: Any = {}
    for _ in range(60):
        deep = {"a": deep}
    row = reject(make_source())
    result = replay_receipt(receipt_id=row.pk, payload=cart(userId="1", properties=deep), actor=actor)
    assert (result.outcome, result.code) == ("invalid", "too_deep")
    assert result.message == "This item nests more than 40 levels of lists and objects."


def test_a_public_keys_item_stays_a_public_keys_item(actor: Actor) -> None:
    """A replay must not do what the browser's own call could not: join two recognized people."""
    source = make_source("web")
    ann, ben = (
        make_profile(identifiers=[("customer_id", "C-1")]),
        make_profile(identifiers=[("customer_id", "C-2"), ("email", "ben@example.com")]),
    )
    item = {"type": "identify", "userId": "C-1", "traits": {"email": "ben@example.com"}}
    row = reject(source, {**item, "messageId": "m-1"}, message_id="m-1")
    result = replay_receipt(receipt_id=row.pk, actor=actor)
    assert (result.outcome, result.profile_id) == ("conflict", ann.pk)
    ben.refresh_from_db()
    assert ben.canonical_id == ben.pk


# --- Many -------------------------------------------------------------------------------------------------


def test_many_are_repaired_and_replayed(actor: Actor) -> None:
    source, other = make_source(), make_source()
    for number in range(120):
        reject(
            source,
            cart(anonymousId=f"b-{number}", properties={"product_sku": "S", "price": "12,50"}),
            at=LONG_AGO,
        )
    left = reject(other)
    repairs = [Repair("rename", "product_sku", "sku"), Repair("number", "price")]
    job = replay_many(choice=Choice(source_id=source.pk), repairs=repairs, actor=actor)
    assert (job.title, job.total, job.permission) == (
        "Replay 120 rejected items",
        120,
        "profiles.replay_receipt",
    )
    late = reject(source, cart(anonymousId="late"))
    done = run_to_end(job)
    assert (done.state, done.done) == ("done", 120)
    assert done.result == {"accepted": 120, "rejected_again": 0, "skipped": 0}
    events = Event.objects.filter(source=source)
    assert events.count() == 120
    assert {(event.properties["sku"], event.properties["price"]) for event in events} == {("S", 12.5)}
    assert set(events.values_list("occurred_at", flat=True)) == {LONG_AGO}
    assert set(waiting()) == {left, late}, "what came later, or elsewhere, is not touched"
    assert AuditEntry.objects.filter(action="receipt.replay").count() == 120


def test_what_is_resolved_meanwhile_is_skipped(actor: Actor) -> None:
    rows = [reject(make_source(), cart(anonymousId=f"b-{number}")) for number in range(3)]
    job = replay_many(ids=[row.pk for row in rows], actor=actor)
    assert dismiss(receipt_ids=[rows[0].pk], actor=actor) == 1
    assert run_to_end(job).result == {"accepted": 2, "rejected_again": 0, "skipped": 1}
    with pytest.raises(Invalid) as refused:
        replay_many(ids=[row.pk for row in rows], actor=actor)
    assert refused.value.message == "None of these waits under Rejected."


def test_a_chunk_is_done_once_or_not_at_all(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_source()
    rows = [reject(source, cart(anonymousId=f"b-{number}")) for number in range(4)]
    job = replay_many(ids=[row.pk for row in rows], actor=actor)
    real, calls = replay.ingest_items, []

    def breaks(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise OperationalError("the server went away")
        return real(*args, **kwargs)

    monkeypatch.setattr(replay, "ingest_items", breaks)
    run(job.pk)
    assert waiting().count() == 4
    assert not Event.objects.filter(source=source).exists()
    Job.objects.filter(pk=job.pk).update(wake_at=timezone.now() - datetime.timedelta(minutes=1))
    assert run_to_end(job).result == {"accepted": 4, "rejected_again": 0, "skipped": 0}
    assert Event.objects.filter(source=source).count() == 4


def test_who_loses_the_right_stops(make_user: Callable[..., User]) -> None:
    dan = make_user("dan", "data admin")
    rows = [reject(make_source(), cart(anonymousId=f"b-{number}")) for number in range(2)]
    job = replay_many(ids=[row.pk for row in rows], actor=Actor.of_user(dan))
    dan.groups.clear()
    assert run_to_end(job).state == "failed"
    assert waiting().count() == 2


def test_dismissing(actor: Actor, ada: User, vic: User) -> None:
    source = make_source()
    rows = [reject(source) for _ in range(3)]
    with pytest.raises(Invalid) as long:
        dismiss(receipt_ids=[rows[0].pk], reason="x" * 301, actor=actor)
    assert long.value.message == "A reason has at most 300 characters; this one has 301."
    with pytest.raises(Forbidden):
        dismiss(receipt_ids=[rows[0].pk], actor=Actor.of_user(vic))
    assert dismiss(receipt_ids=[rows[0].pk, 10**9], reason=" a test ", actor=actor) == 1
    assert dismiss(receipt_ids=[rows[0].pk], actor=actor) == 0
    rows[0].refresh_from_db()
    assert (rows[0].resolution, rows[0].resolved_by) == ("dismissed", ada)
    assert rows[0].note == "a test"
    assert AuditEntry.objects.get(action="receipt.dismiss").detail == {}
    job = dismiss_many(choice=Choice(), reason="old", actor=actor)
    assert run_to_end(job).result == {"dismissed": 2, "skipped": 0}
    assert not waiting().exists()
    assert not Event.objects.filter(source=source).exists()


def test_all_that_an_address_chooses(actor: Actor) -> None:
    source = make_source(name="Shop")
    mine = reject(source, code="schema_violation")
    reject(source)
    job = replay_many(choice=parse_choice({"source": "shop", "code": "schema_violation"}), actor=actor)
    run_to_end(job)
    mine.refresh_from_db()
    assert (mine.resolution, job.total) == ("replayed", 1)
