"""Mail over real SMTP: sent once, retried for a day, refused addresses named."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from django.core.mail import EmailMultiAlternatives, send_mail
from django.db import connection, transaction
from django.db.models.functions import Now

from cdp.mail import Attachment, queue_mail, send_queued
from cdp.models import Mail


class Letters(MessageHandler):
    """Keeps what arrives; refuses whom it is told to, with the code it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: list[Message] = []
        self.refuse: dict[str, str] = {}
        self.on_data: Callable[[], None] = lambda: None

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    def handle_message(self, message: Message) -> None:
        self.on_data()
        self.arrived.append(message)

    @property
    def to(self) -> list[str]:
        return [message["X-RcptTo"] for message in self.arrived]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Post:
    """A mail server that can be down."""

    def __init__(self) -> None:
        self.letters = Letters()
        self.port = free_port()
        self.up()

    def up(self) -> None:
        # A controller's event loop does not survive its stop.
        self.controller = Controller(self.letters, hostname="127.0.0.1", port=self.port)
        self.controller.start()
        self.is_up = True

    def down(self) -> None:
        self.controller.stop()
        self.is_up = False


@pytest.fixture
def post(settings: Any) -> Iterator[Post]:
    """A mail server of our own, and settings that point at it."""
    post = Post()
    settings.EMAIL_URL = f"smtp://127.0.0.1:{post.port}"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", post.port
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_TIMEOUT = 5
    settings.DEFAULT_FROM_EMAIL = "cdp@shop.example"
    yield post
    if post.is_up:
        post.down()


def later(mail: Mail) -> None:
    """The pause before the next try is over."""
    Mail.objects.filter(pk=mail.pk).update(next_at=Now())


def test_a_queued_mail_arrives_once_with_all_its_parts(db: None, post: Post) -> None:
    letters = post.letters
    (mail,) = queue_mail(
        to=["ann@shop.example"],
        subject="Import\nfinished",
        text="3 people",
        html="<p>3 people</p>",
        attachments=[Attachment("rejected.csv", "text/csv", b"line,reason\n")],
    )
    assert (mail.state, send_queued(), send_queued()) == (Mail.State.QUEUED, 1, 0)

    mail.refresh_from_db()
    (message,) = letters.arrived
    assert (mail.state, mail.attempts, mail.problem) == (Mail.State.SENT, 1, "")
    assert mail.sent_at is not None
    assert (message["Subject"], message["From"], message["X-RcptTo"]) == (
        "Import finished",
        "cdp@shop.example",
        "ann@shop.example",
    )
    parts = {part.get_content_type(): part.get_payload(decode=True) for part in message.walk()}
    assert parts["text/plain"] == b"3 people"
    assert parts["text/html"] == b"<p>3 people</p>"
    assert parts["text/csv"].splitlines() == [b"line,reason"]


def test_one_refused_address_fails_alone_with_the_servers_reason(db: None, post: Post) -> None:
    letters = post.letters
    letters.refuse = {"gone@shop.example": "550 no such person here"}
    gone, ann = queue_mail(to=["gone@shop.example", "ann@shop.example"], subject="Hello", text="Hello")

    assert send_queued() == 1
    gone.refresh_from_db()
    ann.refresh_from_db()
    assert (ann.state, letters.to) == (Mail.State.SENT, ["ann@shop.example"])
    assert gone.state == Mail.State.FAILED
    assert gone.problem == "The mail server refused gone@shop.example: 550 no such person here"


def test_an_address_that_is_busy_is_tried_again_after_a_pause(db: None, post: Post) -> None:
    letters = post.letters
    letters.refuse = {"ann@shop.example": "450 mailbox busy"}
    (mail,) = queue_mail(to=["ann@shop.example"], subject="Hello", text="Hello")

    assert (send_queued(), send_queued()) == (0, 0)  # the pause keeps the second from trying
    mail.refresh_from_db()
    assert (mail.state, mail.attempts) == (Mail.State.QUEUED, 1)
    assert mail.problem == "The mail server refused ann@shop.example: 450 mailbox busy"

    letters.refuse = {}
    later(mail)
    assert (send_queued(), letters.to) == (1, ["ann@shop.example"])


def test_a_server_that_is_down_delays_mail_and_loses_none(db: None, post: Post) -> None:
    letters = post.letters
    first, second = queue_mail(to=["ann@shop.example", "bob@shop.example"], subject="Hello", text="Hello")
    post.down()

    assert send_queued() == 0
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.attempts, second.attempts) == (Mail.State.QUEUED, 1, 0)
    assert first.problem.startswith("The mail server cannot be reached: ")

    post.up()
    later(first)
    assert send_queued() == 2
    assert sorted(letters.to) == ["ann@shop.example", "bob@shop.example"]


def test_after_a_day_it_is_given_up_and_says_why(db: None, post: Post) -> None:
    letters = post.letters
    (mail,) = queue_mail(to=["ann@shop.example"], subject="Hello", text="Hello")
    Mail.objects.filter(pk=mail.pk).update(created_at=Now() - timedelta(hours=25))
    post.down()

    assert send_queued() == 0
    mail.refresh_from_db()
    assert mail.state == Mail.State.FAILED
    assert mail.problem.startswith("Not sent: tried for 24 hours. The mail server cannot be reached: ")
    assert letters.arrived == []


def test_a_mail_that_cannot_be_written_fails_and_the_next_one_goes(db: None, post: Post) -> None:
    letters = post.letters
    (broken,) = queue_mail(
        to=["ann@shop.example"], subject="Hello", text="Hello", sender="a\nBcc: eve@x.example"
    )
    queue_mail(to=["bob@shop.example"], subject="Hello", text="Hello")

    assert (send_queued(), letters.to) == (1, ["bob@shop.example"])
    broken.refresh_from_db()
    assert broken.state == Mail.State.FAILED
    assert broken.problem.startswith("The mail could not be created: Header values can't contain newlines")


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_a_mail_once(post: Post) -> None:
    letters = post.letters
    second_worker: list[int] = []
    letters.on_data = lambda: in_another_worker(second_worker)
    queue_mail(to=["ann@shop.example"], subject="Hello", text="Hello")

    assert send_queued() == 1
    assert (second_worker, letters.to) == ([0], ["ann@shop.example"])


def in_another_worker(results: list[int]) -> None:
    """Sends what is due over a database connection of its own, while the first worker is in the middle."""

    def work() -> None:
        try:
            results.append(send_queued())
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.django_db(transaction=True)
def test_mail_of_work_that_was_rolled_back_is_never_sent(post: Post) -> None:
    letters = post.letters
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        queue_mail(to=["ann@shop.example"], subject="Imported", text="Hello")
        raise ZeroDivisionError
    assert (send_queued(), letters.arrived) == (0, [])


def test_without_a_server_mail_stays_in_the_local_mailbox(db: None, settings: Any) -> None:
    settings.EMAIL_URL = ""
    queue_mail(to=["ann@shop.example", "ann@shop.example"], subject="Hello", text="Hello")
    assert send_queued() == 0
    assert [(mail.to, mail.state) for mail in Mail.objects.all()] == [(["ann@shop.example"], Mail.State.KEPT)]


def test_the_mailbox_keeps_what_django_itself_sends(db: None, settings: Any) -> None:
    settings.EMAIL_BACKEND = "cdp.mail.MailboxBackend"
    assert send_mail("Password", "a link", "cdp@shop.example", ["ada@staff.example"]) == 1
    message = EmailMultiAlternatives(
        "Report", "text", "cdp@shop.example", ["a@x.example"], cc=["b@x.example"]
    )
    message.attach_alternative("<b>text</b>", "text/html")
    message.attach("list.csv", "a,b", "text/csv")
    assert message.send() == 1

    report, password = Mail.objects.all()
    assert (password.to, password.subject, password.state) == (["ada@staff.example"], "Password", "kept")
    assert (report.to, report.html) == (["a@x.example", "b@x.example"], "<b>text</b>")
    assert report.attachments == [
        {"name": "list.csv", "type": "text/csv", "content": base64.b64encode(b"a,b").decode()}
    ]
