"""A login and what happens to it → its sessions ended, a link mailed, a password set: each with its audit entry and notice."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from cdp import audit, lockout, notices
from cdp.actors import Actor, block_of_user
from cdp.errors import Invalid, NotFound, RuleForbids
from cdp.mail import queue_mail
from cdp.models import AuditEntry, LoginSession, User
from cdp.plurals import counted
from cdp.user_agents import describe

# Links for one login within an hour; what is asked for beyond that is not sent, and nobody is told.
LINKS_AN_HOUR = 3
_ASKED = "login.link_asked"


# --- Sessions --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as pages show it. ``reference`` names it without being of use to whoever steals it."""

    reference: str
    device: str
    address: str | None
    begun_at: datetime.datetime
    last_seen_at: datetime.datetime
    is_current: bool


def sessions_of(user: User, *, current: str | None = None) -> list[SessionRow]:
    """The login's sessions that have not ended, ``current`` (a session's key) first, then the latest. One query."""
    found = LoginSession.objects.filter(user=user, expire_date__gt=timezone.now()).order_by("-last_seen_at")
    rows = [
        SessionRow(
            reference=_reference(session.pk),
            device=describe(session.agent)[0],
            address=session.address,
            begun_at=session.begun_at,
            last_seen_at=session.last_seen_at,
            is_current=session.pk == current,
        )
        for session in found
    ]
    return sorted(rows, key=lambda row: not row.is_current)


def _reference(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


@transaction.atomic
def end_session(*, user: User, reference: str, actor: Actor) -> None:
    """End one of the login's sessions at once. Raises NotFound where it has ended already."""
    keys = LoginSession.objects.filter(user=user).values_list("pk", flat=True)
    key = next((key for key in keys if _reference(key) == reference), None)
    if key is None:
        raise NotFound("This session has ended already.")
    LoginSession.objects.filter(pk=key).delete()
    _record(user, "user.end_sessions", actor, {"count": 1})


@transaction.atomic
def end_sessions(*, user: User, actor: Actor, keep: str | None = None) -> int:
    """End all of the login's sessions but the one with the key ``keep``; how many."""
    count = LoginSession.objects.filter(user=user).exclude(pk=keep or "").delete()[0]
    if count:
        _record(user, "user.end_sessions", actor, {"count": count})
    return count


# --- Passwords ---------------------------------------------------------------------------------------------


@transaction.atomic
def password_was_set(*, user: User, actor: Actor, keep: str | None = None) -> None:
    """To be called in the transaction that sets it: ends all sessions but ``keep``, unlocks, records, tells the login."""
    _record(user, "user.password", actor)
    end_sessions(user=user, actor=actor, keep=keep)
    lockout.unlock_login(user=user, actor=actor)
    notices.password_set(user, actor=actor)


@transaction.atomic
def invite(*, user: User, actor: Actor, is_new: bool = False) -> None:
    """Mail the login a link to choose a password. Raises Invalid without an address, RuleForbids while it is blocked."""
    if not user.email:
        message = f"The login “{user}” has no e-mail address to send a link to."
        raise Invalid([{"field": "email", "value": "", "message": message}])
    if block := block_of_user(user):
        raise RuleForbids(block.text)
    _record(user, "user.invite", actor)
    if is_new:
        text = f"{actor.name} made a login for you, “{user}”. Choose its password here:"
        _send_link(user, "Your login is ready: choose its password", text)
    else:
        text = f"{actor.name} sends you this link to choose a new password of your login “{user}”:"
        _send_link(user, "Choose a new password", text)


@transaction.atomic
def ask_for_link(email: str) -> None:
    """Mail a link to set a new password to each login with this address. Says nothing of whether there is one."""
    for user in User.objects.filter(email__iexact=email, is_active=True, is_staff=True):
        since = timezone.now() - datetime.timedelta(hours=1)
        asked = AuditEntry.objects.filter(subject=f"user:{user.pk}", action=_ASKED, at__gte=since)
        # Two addresses may be alike to the database and not to a mail server (dotless i): the login's own gets it.
        if asked.count() < LINKS_AN_HOUR and user.has_usable_password():
            _record(user, _ASKED, Actor("anonymous", user.get_username()))
            text = (
                f"Somebody, hopefully you, asked for a new password of your login “{user}”. Choose it here:"
            )
            _send_link(user, "Choose a new password", text)


def _send_link(user: User, subject: str, text: str) -> None:
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(user)
    url = settings.CDP_URL + reverse("admin:password_reset_confirm", args=[uid, token])
    hours = counted(settings.PASSWORD_RESET_TIMEOUT // 3600, "hours")
    ending = f"The link works once and for {hours}. If you did not expect this mail, do nothing: nothing has changed."
    queue_mail(to=[user.email], subject=subject, text=f"{text}\n\n{url}\n\n{ending}\n", is_secret=True)


def _record(user: User, action: str, actor: Actor, detail: dict[str, Any] | None = None) -> None:
    audit.record(action, actor=actor, subject=f"user:{user.pk}", detail=detail)
