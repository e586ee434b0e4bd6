"""Webhooks: delivered once the change is committed, in order, signed, and never into private networks."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction

from cdp import http_client, webhooks
from cdp.actors import Actor
from cdp.models import AuditEntry, Delivery, OutboxMessage, User, Webhook
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.privacy.delete import delete_profiles
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db


class Receiver:
    """A server on this machine; ``status`` is what it answers, ``got`` what it was sent."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?x=1"
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def received(self) -> list[tuple[str, Any]]:
        return [(json.loads(body)["topic"], json.loads(body)["data"].get("n")) for _, body in self.got]


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.CDP_WEBHOOK_ALLOW_LOOPBACK = True
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def listen(url: str = "https://hooks.example.com/", *topics: str, **fields: Any) -> Webhook:
    return Webhook.objects.create(name="shop", url=url, topics=list(topics or webhooks.TOPICS), **fields)


def make_due() -> None:
    """As if the back-off had passed."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cdp_delivery SET next_at = statement_timestamp() - interval '1 second'")


# --- Publishing -----------------------------------------------------------------------------------------


def test_nothing_is_written_while_nobody_listens(django_assert_num_queries: Any) -> None:
    listen("https://hooks.example.com/", "import.finished")
    listen("https://hooks.example.com/", "profile.created", is_active=False)
    with django_assert_num_queries(1):
        webhooks.publish_many("profile.created", items=[(n, {}) for n in range(1000)])
    assert not OutboxMessage.objects.exists()
    webhooks.publish("import.finished", profile_id=None, payload={})
    assert OutboxMessage.objects.count() == 1


def test_what_is_rolled_back_is_not_delivered() -> None:
    listen()
    with pytest.raises(RuntimeError), transaction.atomic():
        webhooks.publish("profile.created", profile_id=1, payload={})
        raise RuntimeError
    assert not OutboxMessage.objects.exists()


def test_an_unknown_topic_is_a_mistake_in_the_code() -> None:
    with pytest.raises(ValueError, match=r"“profile\.borrowed” is not a topic\."):
        webhooks.publish("profile.borrowed", profile_id=1, payload={})


# --- Fan-out --------------------------------------------------------------------------------------------


def test_each_active_webhook_gets_the_topics_it_asked_for_once() -> None:
    all_topics = listen()
    only_merges = listen("https://hooks.example.com/", "profile.merged")
    listen("https://hooks.example.com/", "profile.merged", is_active=False)
    webhooks.publish("profile.created", profile_id=1, payload={})
    webhooks.publish("profile.merged", profile_id=1, payload={})
    assert (webhooks.fan_out(), webhooks.fan_out()) == (2, 0)
    deliveries = Delivery.objects.order_by("pk").values_list("webhook_id", "message__topic")
    assert sorted(deliveries) == sorted(
        [
            (all_topics.pk, "profile.created"),
            (all_topics.pk, "profile.merged"),
            (only_merges.pk, "profile.merged"),
        ]
    )


def test_two_at_once_make_each_delivery_once(two_connections: Any) -> None:
    listen()
    webhooks.publish_many("profile.created", items=[(n, {}) for n in range(300)])
    counts = two_connections(webhooks.fan_out, webhooks.fan_out)
    assert sum(counts) == 300
    assert Delivery.objects.count() == 300


def test_a_thousand_messages_fan_out_in_a_constant_number_of_statements(
    django_assert_max_num_queries: Any,
) -> None:
    listen()
    webhooks.publish_many("profile.created", items=[(n, {}) for n in range(1000)])
    with django_assert_max_num_queries(4):
        assert webhooks.fan_out() == 1000


# --- Delivery -------------------------------------------------------------------------------------------


def test_a_delivery_is_signed_and_says_what_happened(receiver: Receiver) -> None:
    webhook = listen(receiver.url)
    webhooks.publish("profile.merged", profile_id=7, payload={"winner_id": 7, "loser_id": 9})
    assert webhooks.deliver_due() == 1
    headers, body = receiver.got[0]
    message = OutboxMessage.objects.get()
    assert json.loads(body) == {
        "id": message.pk,
        "topic": "profile.merged",
        "profile_id": 7,
        "created_at": json.loads(body)["created_at"],
        "data": {"winner_id": 7, "loser_id": 9},
    }
    parts = dict(part.split("=") for part in headers["CDP-Signature"].split(","))
    expected = hmac.new(webhook.secret.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert parts["v1"] == expected
    assert (headers["CDP-Topic"], headers["CDP-Message"]) == ("profile.merged", str(message.pk))
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.status, delivery.attempts, delivery.problem) == ("delivered", 200, 1, "")
    assert delivery.delivered_at is not None
    assert webhooks.deliver_due() == 0


def test_messages_of_one_profile_arrive_in_order_even_when_the_first_fails(receiver: Receiver) -> None:
    listen(receiver.url)
    for n in range(3):
        webhooks.publish("profile.updated", profile_id=1, payload={"n": n})
    webhooks.publish("profile.updated", profile_id=2, payload={"n": 100})
    receiver.status = 500
    webhooks.deliver_due()
    assert sorted(n for _, n in receiver.received) == [0, 100], "the later ones wait behind the first"
    receiver.status, receiver.got = 200, []
    make_due()
    webhooks.deliver_due()
    assert [n for _, n in receiver.received if n != 100] == [0, 1, 2]
    assert not Delivery.objects.exclude(state="delivered").exists()


def test_a_message_about_two_profiles_waits_for_both_and_both_wait_for_it(receiver: Receiver) -> None:
    listen(receiver.url)
    webhooks.publish("profile.updated", profile_id=2, payload={"n": 1})
    webhooks.publish("profile.merged", profile_id=1, other_id=2, payload={"n": 2})
    webhooks.publish("profile.deleted", profile_id=2, payload={"n": 3})
    webhooks.publish("profile.updated", profile_id=1, payload={"n": 4})
    webhooks.publish("profile.merged", profile_id=5, other_id=2, payload={"n": 5})
    webhooks.publish("profile.updated", profile_id=9, payload={"n": 100})
    receiver.status = 500
    webhooks.deliver_due()
    assert sorted(n for _, n in receiver.received) == [1, 100], "nothing about either overtakes"
    receiver.status, receiver.got = 200, []
    make_due()
    webhooks.deliver_due()
    order = [n for _, n in receiver.received if n != 100]
    assert order[:2] == [1, 2]
    assert order.index(3) < order.index(5)
    assert sorted(order) == [1, 2, 3, 4, 5]


def test_a_merged_person_is_never_deleted_before_they_were_merged(
    receiver: Receiver, by_staff: dict[str, Any]
) -> None:
    """The real messages: merged, undone, the loser deleted, while the receiver refuses the first."""
    ann, eve = make_profile(first_name="Ann"), make_profile(first_name="Eve")
    listen(receiver.url, "profile.merged", "profile.unmerged", "profile.deleted")
    done = merge_profiles(winner_id=ann.pk, loser_id=eve.pk, **by_staff)
    unmerge_profiles(merge_id=done.merge_id, **by_staff)
    delete_profiles(profile_ids=[eve.pk], **by_staff)
    receiver.status = 500
    webhooks.deliver_due()
    assert [topic for topic, _ in receiver.received] == ["profile.merged"]
    receiver.status, receiver.got = 200, []
    make_due()
    webhooks.deliver_due()
    assert [topic for topic, _ in receiver.received] == [
        "profile.merged",
        "profile.unmerged",
        "profile.deleted",
    ]


@pytest.mark.django_db(transaction=True)
def test_two_senders_at_once_keep_the_order_of_both(
    receiver: Receiver, two_connections: Callable[..., list[Any]]
) -> None:
    listen(receiver.url)
    for n in range(0, 30, 3):
        webhooks.publish("profile.updated", profile_id=2, payload={"n": n})
        webhooks.publish("profile.merged", profile_id=1, other_id=2, payload={"n": n + 1})
        webhooks.publish("profile.updated", profile_id=1, payload={"n": n + 2})
    two_connections(webhooks.deliver_due, webhooks.deliver_due)
    webhooks.deliver_due()
    order = [n for _, n in receiver.received]
    assert sorted(order) == list(range(30))
    # Each merge is behind what was said of the loser before it, and before what was said of the winner after it.
    for n in range(0, 30, 3):
        assert order.index(n) < order.index(n + 1) < order.index(n + 2)
        assert n == 0 or order.index(n - 2) < order.index(n)


def test_a_webhook_that_fails_holds_up_no_other(receiver: Receiver) -> None:
    listen("http://127.0.0.1:1/nobody-listens")
    listen(receiver.url)
    webhooks.publish("profile.updated", profile_id=1, payload={"n": 1})
    webhooks.publish("profile.updated", profile_id=1, payload={"n": 2})
    webhooks.deliver_due()
    assert [n for _, n in receiver.received] == [1, 2]


def test_failures_are_tried_again_later_and_later_and_then_given_up(receiver: Receiver) -> None:
    listen(receiver.url)
    webhooks.publish("profile.updated", profile_id=1, payload={"n": 1})
    receiver.status = 503
    waits = []
    for _ in range(webhooks.MAX_ATTEMPTS):
        webhooks.deliver_due()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT round(extract(epoch FROM next_at - statement_timestamp())) FROM cdp_delivery"
            )
            waits.append(int(cursor.fetchone()[0]))
        make_due()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.status, delivery.problem) == ("dead", 503, "Answered 503.")
    assert delivery.attempts == webhooks.MAX_ATTEMPTS == len(receiver.got)
    assert waits == list(webhooks.BACK_OFF)
    assert webhooks.deliver_due() == 0


def test_gone_is_final(receiver: Receiver) -> None:
    listen(receiver.url)
    webhooks.publish("profile.updated", profile_id=1, payload={})
    receiver.status = 410
    webhooks.deliver_due()
    assert Delivery.objects.get().state == "dead"


def test_a_given_up_message_can_be_replayed(receiver: Receiver, ada: User) -> None:
    listen(receiver.url)
    webhooks.publish("profile.updated", profile_id=1, payload={"n": 1})
    receiver.status = 410
    webhooks.deliver_due()
    receiver.status = 200
    dead = Delivery.objects.get()
    assert webhooks.replay(delivery_ids=[dead.pk], actor=Actor.of_user(ada)) == 1
    assert webhooks.replay(delivery_ids=[dead.pk], actor=Actor.of_user(ada)) == 0, "it waits already"
    webhooks.deliver_due()
    assert Delivery.objects.get().state == "delivered"
    assert AuditEntry.objects.get(action="webhook.replay").detail == {"deliveries": 1}


def test_what_a_dead_worker_had_taken_is_sent_after_its_lease(receiver: Receiver) -> None:
    listen(receiver.url)
    webhooks.publish("profile.updated", profile_id=1, payload={"n": 1})
    webhooks.publish("profile.updated", profile_id=1, payload={"n": 2})
    webhooks.fan_out()
    assert len(webhooks._claim()) == 1  # and the worker dies here
    assert webhooks.deliver_due() == 0, "held by the lease, and the second waits behind the first"
    make_due()
    webhooks.deliver_due()
    assert [n for _, n in receiver.received] == [1, 2]


def test_a_late_answer_does_not_overwrite_the_next_try(receiver: Receiver) -> None:
    listen(receiver.url)
    webhooks.publish("profile.updated", profile_id=1, payload={"n": 1})
    webhooks.fan_out()
    first = webhooks._claim()
    make_due()
    second = webhooks._claim()
    webhooks._send_all(second)
    receiver.status = 410
    webhooks._send_all(first)
    assert Delivery.objects.get().state == "delivered"


def test_two_workers_never_take_the_same_delivery(two_connections: Any) -> None:
    listen()
    webhooks.publish_many("profile.created", items=[(n, {}) for n in range(20)])
    webhooks.fan_out()
    taken = two_connections(webhooks._claim, webhooks._claim)
    ids = [letter.delivery_id for letters in taken for letter in letters]
    assert len(ids) == len(set(ids)) > 0


def test_a_webhook_switched_off_waits(receiver: Receiver) -> None:
    webhook = listen(receiver.url)
    webhooks.publish("profile.updated", profile_id=1, payload={"n": 1})
    webhooks.fan_out()
    Webhook.objects.update(is_active=False)
    assert webhooks.deliver_due() == 0
    Webhook.objects.filter(pk=webhook.pk).update(is_active=True)
    assert webhooks.deliver_due() == 1


def test_a_test_is_sent_at_once_and_not_again(receiver: Receiver, ada: User) -> None:
    webhook = listen(receiver.url, is_active=False)
    sent = webhooks.send_test(webhook_id=webhook.pk, actor=Actor.of_user(ada))
    assert (sent.state, sent.status) == ("delivered", 200)
    assert receiver.received == [("test", None)]
    receiver.status = 404
    failed = webhooks.send_test(webhook_id=webhook.pk, actor=Actor.of_user(ada))
    assert (failed.state, failed.status, failed.problem) == ("dead", 404, "Answered 404.")
    assert webhooks.deliver_due() == 0


def test_old_messages_are_forgotten_unless_somebody_waits_for_them(receiver: Receiver) -> None:
    listen(receiver.url)
    webhooks.publish("profile.updated", profile_id=1, payload={"n": 1})
    webhooks.deliver_due()
    webhooks.publish("profile.updated", profile_id=1, payload={"n": 2})
    webhooks.fan_out()
    assert webhooks.forget_old() == 0
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cdp_outboxmessage SET created_at = statement_timestamp() - interval '31 days'")
    assert webhooks.forget_old() == 1
    assert [message.payload for message in OutboxMessage.objects.all()] == [{"n": 2}]


# --- Where calls may go ---------------------------------------------------------------------------------

PRIVATE = "“{}” is in a private network. Webhooks go to public addresses only."


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.1]",
        "[2002:7f00:1::]",
        "[64:ff9b::a00:1]",
    ],
)
def test_addresses_of_private_networks_are_refused(host: str) -> None:
    with pytest.raises(http_client.Forbidden) as refused:
        http_client.check_url(f"https://{host}/hook")
    assert str(refused.value) == PRIVATE.format(host.strip("[]"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.com/", "Write an https address, like https://example.com/hook."),
        ("ftp://example.com/", "Write an https address, like https://example.com/hook."),
        ("https:///path", "Write an https address, like https://example.com/hook."),
        (
            "https://me:secret@example.com/",
            "Leave user name and password out of the address; deliveries are signed instead.",
        ),
        ("https://example.com:99999/", "This is not a web address. Write it like https://example.com/hook."),
        ("https://example.com/a b", "There is a space or a control character in the address."),
    ],
)
def test_other_addresses_that_cannot_be_called_say_why(url: str, message: str) -> None:
    with pytest.raises(http_client.Forbidden) as refused:
        http_client.check_url(url)
    assert str(refused.value) == message
    assert http_client.check_url("https://example.com/hook").hostname == "example.com"


def names(**table: list[str]) -> Callable[..., list[Any]]:
    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))
            for number in table[host.split(".")[0]]
        ]

    return look_up


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["169.254.169.254"]])
def test_a_name_that_leads_into_a_private_network_is_not_called(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", names(sneaky=addresses))
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("connected"))
    answer = http_client.post("https://sneaky.example.com/", b"{}", secret="s", headers={})
    assert answer == http_client.Answer(None, PRIVATE.format("sneaky.example.com"))


def test_the_number_that_was_checked_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    dialed: list[Any] = []

    def connect(address: Any, timeout: float) -> Any:
        dialed.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", names(good=["93.184.216.34"]))
    monkeypatch.setattr(socket, "create_connection", connect)
    answer = http_client.post("https://good.example.com/", b"{}", secret="s", headers={})
    assert dialed == [("93.184.216.34", 443)]
    assert answer == http_client.Answer(None, "The connection failed (ConnectionRefusedError).")


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.status = 302
    answer = http_client.post(receiver.url, b"{}", secret="s", headers={})
    assert answer.problem == "Answered 302; redirects are not followed. Enter the final address."
    assert len(receiver.got) == 1


def test_loopback_alone_is_opened_by_the_setting(settings: Any) -> None:
    settings.CDP_WEBHOOK_ALLOW_LOOPBACK = True
    http_client.check_url("http://127.0.0.1:9/")
    with pytest.raises(http_client.Forbidden):
        http_client.check_url("https://10.0.0.1/")


def test_an_unknown_name_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    answer = http_client.post("https://nowhere.example.com/", b"{}", secret="s", headers={})
    assert answer == http_client.Answer(None, "The name in the address is unknown.")


def test_somebody_who_never_answers_is_hung_up_on(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CDP_WEBHOOK_ALLOW_LOOPBACK = True
    monkeypatch.setattr(http_client, "TOTAL_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        answer = http_client.post(url, b"{}", secret="s", headers={})
    assert answer == http_client.Answer(None, "The connection failed (RemoteDisconnected).")
