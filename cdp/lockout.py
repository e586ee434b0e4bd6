"""Wrong passwords → a pause, for a login at one address, for an address, and for a login that is tried from everywhere.

django-axes counts them in PostgreSQL; this module says who is counted as whom, where the limits are, and what is
recorded. The pause has one length, and trying on does not make it longer. A login that is attacked from many addresses
can still be used from those it was used from before, so that nobody is kept out by strangers.

Every password goes through ``django.contrib.auth.authenticate`` and so through here: the login page, and where it is asked for again.
"""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Max, Q, Sum
from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.crypto import salted_hmac

from cdp import audit, notices
from cdp.actors import Actor
from cdp.client_address import network_of
from cdp.errors import NotFound
from cdp.models import AuditEntry, User
from cdp.plurals import counted

# A login's addresses: those it was used from within so many days.
USUAL_DAYS = 30
# Stands for the address of a caller who has none: gunicorn on a socket, without BEHIND_PROXY.
_NO_ADDRESS = "0.0.0.0"  # noqa: S104
_MOST_LOGINS = 200


def sentence() -> str:
    """What is said to whoever is locked out: the same for a login there is and one there is not."""
    return (
        f"Too many wrong passwords. Try again in {counted(_minutes(), 'minutes')}, or ask somebody who manages logins"
        " to unlock yours."
    )


def _minutes() -> int:
    return int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)


def is_locked_out(request: Any) -> bool:
    """Whether the password that this request sent was not looked at, or was the one too many."""
    return bool(getattr(request, "axes_locked_out", False))


# --- Who is counted as whom (settings AXES_…) ----------------------------------------------------------------


def network_of_request(request: HttpRequest) -> str:
    return network_of(str(request.META.get("REMOTE_ADDR", ""))) or _NO_ADDRESS


def name_of(request: Any, credentials: dict[str, Any] | None) -> str:
    """``user:3``; for a name that is nobody's a hash, since people type passwords into the name's field."""
    name = str((credentials or {}).get(User.USERNAME_FIELD) or "").replace("\x00", "")
    pk = User.objects.filter(username=name).values_list("pk", flat=True).first()
    return _label(pk) if pk else f"unknown:{salted_hmac('cdp.lockout', name).hexdigest()}"


def _label(user_id: int) -> str:
    return f"user:{user_id}"


def locked_out_response(
    request: HttpRequest, response: HttpResponseBase, credentials: Any = None
) -> HttpResponseBase:
    """The page itself says it (LoginForm, confirm.html); programs read the status."""
    response.status_code = 429
    response["Retry-After"] = str(_minutes() * 60)
    return response


class LockoutHandler(AxesDatabaseHandler):
    """The library's handler with three limits instead of one, and with the audit log and a mail."""

    def get_failures(self, request: Any, credentials: dict[str, Any] | None = None) -> int:
        """The login's failures at this address; at least the limit where one of the other two is reached. Two queries."""
        name, address = name_of(request, credentials), request.axes_ip_address
        recent = AccessAttempt.objects.filter(
            Q(username=name) | Q(ip_address=address), attempt_time__gte=get_cool_off_threshold(request)
        )
        failures = recent.aggregate(
            here=Sum("failures_since_start", filter=Q(username=name, ip_address=address), default=0),
            address=Sum("failures_since_start", filter=Q(ip_address=address), default=0),
            login=Sum("failures_since_start", filter=Q(username=name), default=0),
        )
        limit: int = settings.AXES_FAILURE_LIMIT
        is_over = (
            address != _NO_ADDRESS and failures["address"] >= settings.CDP_LOCKOUT_ADDRESS_FAILURES
        ) or (failures["login"] >= settings.CDP_LOCKOUT_LOGIN_FAILURES and not _is_usual(name, address))
        here: int = failures["here"]
        return max(here, limit) if is_over else here

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: Any = None, **kwargs: Any
    ) -> None:
        """What was sent is not kept: it may be any form's, with the password in it."""
        was_locked_out = is_locked_out(request)
        bare = copy.copy(request)
        bare.GET = bare.POST = QueryDict()
        super().user_login_failed(sender, credentials, bare, **kwargs)
        request.axes_locked_out = bare.axes_locked_out
        if request.axes_locked_out and not was_locked_out:
            _record(credentials, failures=bare.axes_failures_since_start)


def _is_usual(name: str, address: str) -> bool:
    """Whether the login was used from this address lately. One query, only while it is attacked from many."""
    kind, _, pk = name.partition(":")
    if kind != "user":
        return False
    since = timezone.now() - datetime.timedelta(days=USUAL_DAYS)
    logins = AuditEntry.objects.filter(user_id=int(pk), action="login", at__gte=since).order_by("-id")
    used: Iterable[str] = filter(None, logins.values_list("address", flat=True)[:_MOST_LOGINS])
    return any(network_of(used_from) == address for used_from in used)


def _record(credentials: dict[str, Any], *, failures: int) -> None:
    """The lock begins: an audit entry, and a mail to the login where there is one."""
    name = str(credentials.get(User.USERNAME_FIELD, "")).replace("\x00", "")
    user = User.objects.filter(username=name).first()
    detail = {"failures": failures, "minutes": _minutes()}
    actor = Actor("anonymous", user.get_username() if user else "unknown")
    is_told = user is not None and _was_locked_lately(user)
    audit.record("login.locked_out", actor=actor, subject=_label(user.pk) if user else "", detail=detail)
    if user is not None and not is_told:
        notices.locked_out(user, minutes=_minutes())


def _was_locked_lately(user: User) -> bool:
    """Mails come once an hour at most: whoever attacks a login does not fill its mailbox."""
    since = timezone.now() - datetime.timedelta(hours=1)
    return AuditEntry.objects.filter(
        subject=_label(user.pk), action="login.locked_out", at__gte=since
    ).exists()


# --- For those who manage logins ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lock:
    """``failures`` wrong passwords from ``addresses`` addresses; all of them may sign in again at ``until``."""

    failures: int
    addresses: int
    until: datetime.datetime


def lock_of(user: User) -> Lock | None:
    """Whether the login must wait at some address. One query."""
    return locks().get(user.pk)


def locks() -> dict[int, Lock]:
    """Login's id → its lock, of those that must wait somewhere. One query."""
    recent = AccessAttempt.objects.filter(
        username__startswith="user:", attempt_time__gte=timezone.now() - settings.AXES_COOLOFF_TIME
    )
    rows = recent.order_by().values("username", "ip_address")
    by_login: dict[int, list[dict[str, Any]]] = {}
    for row in rows.annotate(failures=Sum("failures_since_start"), latest=Max("attempt_time")):
        by_login.setdefault(int(row["username"].partition(":")[2]), []).append(row)
    found = {}
    for pk, addresses in by_login.items():
        failures = sum(row["failures"] for row in addresses)
        here = max(row["failures"] for row in addresses)
        if here >= settings.AXES_FAILURE_LIMIT or failures >= settings.CDP_LOCKOUT_LOGIN_FAILURES:
            latest = max(row["latest"] for row in addresses)
            found[pk] = Lock(failures, len(addresses), latest + settings.AXES_COOLOFF_TIME)
    return found


def unlock_login(*, user: User, actor: Actor) -> bool:
    """Forget the login's wrong passwords, so that it may sign in at once; whether there were any."""
    deleted = AccessAttempt.objects.filter(username=_label(user.pk)).delete()[0]
    if deleted:
        audit.record("login.unlock", actor=actor, subject=_label(user.pk))
    return bool(deleted)


def unlock_address(*, address: str, actor: Actor) -> None:
    """Forget the wrong passwords sent from an address. Raises NotFound where none are remembered."""
    network = network_of(address)
    deleted = AccessAttempt.objects.filter(ip_address=network).delete()[0] if network else 0
    if not deleted:
        raise NotFound(f"No wrong passwords from {address} are remembered.")
    audit.record("login.unlock_address", actor=actor, detail={"address": network})


def forget_old() -> int:
    """Delete wrong passwords that count no more; how many rows."""
    before = timezone.now() - settings.AXES_COOLOFF_TIME
    deleted: int = AccessAttempt.objects.filter(attempt_time__lt=before).delete()[0]
    return deleted
