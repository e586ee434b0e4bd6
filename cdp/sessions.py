"""A browser's cookie → its session's row: whose it is, from where, since when; it ends when idle, too old or ended by somebody.

Django's database sessions with columns of their own (the session engine of the settings). The pages and the REST API
use the same ones. A row's key is a digest of what the browser holds, so that nobody who reads a backup or a replica of the database
can take over a session.
"""

from __future__ import annotations

import datetime
import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore
from django.dispatch import receiver
from django.utils import timezone

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from cdp.models import LoginSession, User

# ``last_seen_at`` costs a write, so it is not renewed more often.
SEEN_EVERY = datetime.timedelta(minutes=5)
_BEGUN, _ADDRESS, _AGENT, _CONFIRMED = "begun", "address", "agent", "confirmed"
_MAX_AGENT = 300


class SessionStore(DatabaseSessionStore):
    """``row`` is the session as it was read; None before, and for a session that is new."""

    row: LoginSession | None = None

    @classmethod
    def get_model_class(cls) -> Any:
        from cdp.models import LoginSession

        return LoginSession

    @property
    def row_key(self) -> str | None:
        """The primary key of the session's row; None for a session that has none yet."""
        return _digest_of(self.session_key) if self.session_key else None

    def load(self) -> dict[str, Any]:
        rows = self.get_model_class().objects.filter(pk=self.row_key, expire_date__gt=timezone.now())
        self.row = next(iter(rows), None)
        if self.row is None:
            self._session_key = None
            return {}
        return self.decode(self.row.session_data)

    def exists(self, session_key: str | None) -> bool:
        return bool(session_key) and self._rows(session_key).exists()

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            self._rows(key).delete()

    def _rows(self, session_key: str | None) -> Any:
        return self.get_model_class().objects.filter(pk=_digest_of(session_key or ""))

    def create_model_instance(self, data: dict[str, Any]) -> LoginSession:
        now = timezone.now()
        begun = data.get(_BEGUN)
        begun_at = now if begun is None else datetime.datetime.fromtimestamp(begun, datetime.UTC)
        row: LoginSession = self.get_model_class()(
            session_key=_digest_of(self._get_or_create_session_key()),  # type: ignore[attr-defined]
            session_data=self.encode(data),
            expire_date=_expires_at(begun_at, now),
            user_id=data.get(SESSION_KEY),
            address=data.get(_ADDRESS),
            agent=data.get(_AGENT, ""),
            begun_at=begun_at,
            last_seen_at=now,
        )
        return row


def _digest_of(session_key: str) -> str:
    """Keys have 160 random bits, so a plain SHA-256 cannot be guessed backwards; as long as the column is wide."""
    return hashlib.sha256(session_key.encode()).hexdigest()[:40]


def _expires_at(begun_at: datetime.datetime, seen_at: datetime.datetime) -> datetime.datetime:
    idle = datetime.timedelta(minutes=settings.CDP_SESSION_IDLE_MINUTES)
    return min(begun_at + datetime.timedelta(seconds=settings.SESSION_COOKIE_AGE), seen_at + idle)


@receiver(user_logged_in, dispatch_uid="begin_session")
def _begin(request: HttpRequest, user: User, **_: Any) -> None:
    from cdp.audit import clean_address

    session = request.session
    if _BEGUN in session:
        # Django keeps the key of a session whose login signs in once more.
        session.cycle_key()
    session[_BEGUN] = session[_CONFIRMED] = int(time.time())
    session[_ADDRESS] = clean_address(str(request.META.get("REMOTE_ADDR", "")))
    session[_AGENT] = request.headers.get("User-Agent", "").replace("\x00", "")[:_MAX_AGENT]


class LastSeen:
    """Middleware: puts off the end of a session that is used."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        _touch(request)
        return response


def _touch(request: HttpRequest) -> None:
    """One write per session and five minutes. What a page fetches by itself does not count: nobody may be there."""
    row = getattr(request.session, "row", None)
    if row is None or row.user_id is None or row_key(request) != row.pk:
        return
    is_fetched = request.method == "GET" and "HX-Request" in request.headers
    now = timezone.now()
    if not is_fetched and now - row.last_seen_at > SEEN_EVERY:
        type(row).objects.filter(pk=row.pk).update(
            last_seen_at=now, expire_date=_expires_at(row.begun_at, now)
        )


def row_key(request: HttpRequest) -> str | None:
    """The primary key of the request's session, as lists of sessions name it."""
    key: str | None = request.session.row_key  # type: ignore[attr-defined]
    return key


def forget_expired() -> int:
    """Delete sessions that ended by themselves; how many."""
    from cdp.models import LoginSession

    return LoginSession.objects.filter(expire_date__lt=timezone.now()).delete()[0]


# --- The password, given again --------------------------------------------------------------------------


def is_confirmed(request: Any) -> bool:
    """Whether this session gave its password within the last ``CDP_CONFIRM_MINUTES``."""
    at = request.session.get(_CONFIRMED)
    return at is not None and time.time() - at < settings.CDP_CONFIRM_MINUTES * 60


def mark_confirmed(request: Any) -> None:
    """The session gets a new key, as at a login: one that was stolen before is worth no more than it was."""
    request.session.cycle_key()
    request.session[_CONFIRMED] = int(time.time())
