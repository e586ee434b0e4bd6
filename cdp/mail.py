"""A mail queued in the transaction that causes it → sent by a worker, and kept as a record.

A mail is a row first, so it is neither lost with a broker nor sent for work that was rolled back. Without
EMAIL_URL nothing is sent: rows stay in the local mailbox, a page inside the admin.
"""

from __future__ import annotations

import base64
import logging
import smtplib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.mime.base import MIMEBase
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import EmailMessage
from django.core.mail.utils import DNS_NAME
from django.db import transaction
from django.db.models.functions import Now

from cdp.models import Job, Mail

log = logging.getLogger(__name__)

KEEP_TRYING = timedelta(hours=24)
SLICE_SECONDS = 40.0
_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    type: str
    content: bytes

    def as_json(self) -> dict[str, str]:
        return {"name": self.name, "type": self.type, "content": base64.b64encode(self.content).decode()}


def queue_mail(
    *,
    to: Sequence[str],
    subject: str,
    text: str,
    html: str = "",
    attachments: Sequence[Attachment] = (),
    sender: str = "",
    job: Job | None = None,
    is_secret: bool = False,
) -> list[Mail]:
    """Queues one mail per address, in the caller's transaction: rolled back with it, sent soon after it.

    One each, so that an address the server refuses fails alone and a retry never reaches the others
    a second time. Sent within about ten seconds, tried for 24 hours; `state` and `problem` of the
    returned rows have what became of them. Line breaks in the subject become spaces. ``is_secret``: the text is for
    its recipient alone, is not shown in the mailbox, and is not kept once the mail has gone.
    """
    state = Mail.State.QUEUED if settings.EMAIL_URL else Mail.State.KEPT
    return Mail.objects.bulk_create(
        Mail(
            to=[address],
            sender=sender,
            subject=" ".join(subject.split())[:998],
            text=text,
            html=html,
            attachments=[attachment.as_json() for attachment in attachments],
            state=state,
            job=job,
            is_secret=is_secret,
        )
        for address in dict.fromkeys(to)
    )


# --- sending -----------------------------------------------------------------------------------------
class _ServerAway(Exception):
    """The server cannot be spoken to now; the other mails need not be tried."""


class _Refused(Exception):
    """The server will never take this mail."""


class _NotNow(Exception):
    """The server may take this mail later."""


def send_queued() -> int:
    """Sends what is due, for 40 s at most. Returns how many went out.

    Any number of workers may do this at once: a mail is locked while it is being sent. Should a worker
    die between the server's yes and our commit, the mail goes out again under the same Message-ID,
    which receiving servers recognize.
    """
    if not settings.EMAIL_URL:
        return 0
    connection = get_connection(fail_silently=False)
    deadline = time.monotonic() + SLICE_SECONDS
    sent = 0
    try:
        while time.monotonic() < deadline:
            outcome = _send_next(connection)
            if outcome is None:
                break
            sent += outcome == Mail.State.SENT
    except _ServerAway as problem:
        log.warning("the mail server cannot be reached (%s); mails wait", type(problem.__cause__).__name__)
    finally:
        _close(connection)
    return sent


@transaction.atomic
def _claim() -> Mail | None:
    due = Mail.objects.filter(state=Mail.State.QUEUED, next_at__lte=Now())
    return due.order_by("next_at", "id").select_for_update(skip_locked=True, of=("self",)).first()


def _send_next(connection: BaseEmailBackend) -> str | None:
    """Sends one mail and returns its state afterwards; None when none is due."""
    away: _ServerAway | None = None
    with transaction.atomic():
        mail = _claim()
        if mail is None:
            return None
        mail.attempts += 1
        # Before the server is asked: a database that cannot write, its disk being full, must not send the same mail
        # every ten seconds.
        mail.save(update_fields=["attempts"])
        try:
            _deliver(mail, connection)
        except _Refused as refusal:
            mail.state, mail.problem = Mail.State.FAILED, str(refusal)
        except (_NotNow, _ServerAway) as trouble:
            _put_off(mail, str(trouble))
            away = trouble if isinstance(trouble, _ServerAway) else None
        else:
            mail.state, mail.problem, mail.sent_at = Mail.State.SENT, "", Now()
        if mail.is_secret and mail.state != Mail.State.QUEUED:
            mail.text = mail.html = ""
        mail.save(update_fields=["state", "problem", "next_at", "sent_at", "text", "html"])
    if away:
        raise away
    return mail.state


def _put_off(mail: Mail, reason: str) -> None:
    """Tries again after a pause that doubles; gives up a day after the mail was written."""
    mail.problem = reason
    if Mail.objects.filter(pk=mail.pk, created_at__lt=Now() - KEEP_TRYING).exists():
        mail.state = Mail.State.FAILED
        mail.problem = f"Not sent: tried for 24 hours. {reason}"
        return
    pause = min(_FIRST_PAUSE * 2 ** min(mail.attempts - 1, 10), _LONGEST_PAUSE)
    mail.next_at = Now() + pause


def _deliver(mail: Mail, connection: BaseEmailBackend) -> None:
    """Hands the mail to the server, or raises its reply as one of our three errors."""
    try:
        message = _compose(mail, connection)
        message.message()  # headers that cannot be written show here, before the server is bothered
    except ValueError as problem:
        raise _Refused(f"The mail could not be created: {problem}") from problem
    try:
        connection.open()
        message.send()
    except smtplib.SMTPRecipientsRefused as refusal:
        code, reply = next(iter(refusal.recipients.values()))
        _raise_for(code, f"The mail server refused {', '.join(mail.to)}: {code} {_text(reply)}", refusal)
    except smtplib.SMTPAuthenticationError as refusal:
        raise _ServerAway(
            f"The mail server refused our login: {refusal.smtp_code} {_text(refusal.smtp_error)}. "
            "Check EMAIL_URL."
        ) from refusal
    except (smtplib.SMTPConnectError, smtplib.SMTPHeloError) as refusal:
        raise _ServerAway(
            f"The mail server is not ready: {refusal.smtp_code} {_text(refusal.smtp_error)}"
        ) from refusal
    except smtplib.SMTPResponseException as refusal:
        code = refusal.smtp_code
        _raise_for(code, f"The mail server refused the mail: {code} {_text(refusal.smtp_error)}", refusal)
    except (OSError, smtplib.SMTPException) as trouble:  # no connection, broken off, timed out
        _close(connection)
        reason = _text(str(trouble)) or type(trouble).__name__
        raise _ServerAway(f"The mail server cannot be reached: {reason}") from trouble


def _raise_for(code: int, sentence: str, cause: Exception) -> None:
    if 500 <= code < 600:
        raise _Refused(sentence) from cause
    raise _NotNow(sentence) from cause


def _text(reply: bytes | str) -> str:
    return " ".join((reply.decode(errors="replace") if isinstance(reply, bytes) else reply).split())[:500]


def _close(connection: BaseEmailBackend) -> None:
    try:
        connection.close()
    except (OSError, smtplib.SMTPException) as trouble:
        log.info("the mail server hung up first (%s)", type(trouble).__name__)


def _compose(mail: Mail, connection: BaseEmailBackend) -> EmailMessage:
    sender = mail.sender or settings.DEFAULT_FROM_EMAIL
    domain = sender.rpartition("@")[2].strip("> ") or str(DNS_NAME)
    message = EmailMultiAlternatives(
        mail.subject,
        mail.text,
        sender,
        mail.to,
        connection=connection,
        headers={
            "Message-ID": f"<cdp.{mail.pk}.{int(mail.created_at.timestamp())}@{domain}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    if mail.html:
        message.attach_alternative(mail.html, "text/html")
    for kept in mail.attachments:
        message.attach(kept["name"], base64.b64decode(kept["content"]), kept["type"])
    return message


# --- the local mailbox ---------------------------------------------------------------------------------
class MailboxBackend(BaseEmailBackend):
    """Keeps in the local mailbox what Django itself sends (such as a forgotten password's link)."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        kept = Mail.objects.bulk_create(_kept(message) for message in email_messages if message.recipients())
        return len(kept)


def _kept(message: EmailMessage) -> Mail:
    return Mail(
        to=message.recipients(),
        sender=message.from_email,
        subject=" ".join(str(message.subject).split())[:998],
        text=str(message.body),
        html=_html_of(message),
        attachments=[_attachment(part) for part in message.attachments],
        state=Mail.State.KEPT,
        sent_at=None,
    )


def _html_of(message: EmailMessage) -> str:
    if message.content_subtype == "html":
        return str(message.body)
    for content, mimetype in getattr(message, "alternatives", None) or ():
        if mimetype == "text/html":
            return str(content)
    return ""


def _attachment(part: Any) -> dict[str, str]:
    if isinstance(part, MIMEBase):
        content = part.get_payload(decode=True)
        body = content if isinstance(content, bytes) else b""
        return Attachment(part.get_filename() or "attachment", part.get_content_type(), body).as_json()
    name, content, mimetype = part
    body = content if isinstance(content, bytes) else str(content).encode()
    return Attachment(name or "attachment", mimetype or "application/octet-stream", body).as_json()
