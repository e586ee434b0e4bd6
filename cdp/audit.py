"""An action, its actor and subjects → rows of the append-only audit log, in the transaction that acts.

A database trigger keeps rows from being changed; ``cdp.audit_chain`` seals them.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from itertools import repeat
from typing import TYPE_CHECKING, Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver

from cdp.actors import Actor
from cdp.logs import request_address, request_id
from cdp.models import AuditEntry, User

if TYPE_CHECKING:
    from django.http import HttpRequest


def record(
    action: str, *, actor: Actor, subject: str = "", detail: dict[str, Any] | None = None
) -> AuditEntry:
    """Record one action, in the transaction that acts. ``detail``: ids, counts, reasons, no personal data."""
    return record_many(action, actor=actor, subjects=[subject], detail=detail)[0]


def record_many(
    action: str,
    *,
    actor: Actor,
    subjects: Iterable[str],
    detail: dict[str, Any] | None = None,
    details: Iterable[dict[str, Any]] | None = None,
) -> list[AuditEntry]:
    """The bulk twin of ``record``: the same act on many subjects in one INSERT per 5,000.

    ``details`` where each subject has its own, in their order; else ``detail`` is that of all.
    """
    address = clean_address(request_address.get())
    paired = zip(subjects, repeat(detail)) if details is None else zip(subjects, details, strict=True)
    return AuditEntry.objects.bulk_create(
        [
            AuditEntry(
                user_id=actor.user_id,
                key_id=actor.key_id,
                actor=actor.name[:200],
                action=action,
                subject=subject,
                detail=own or {},
                address=address,
                request_id=request_id.get()[:36],
            )
            for subject, own in paired
        ],
        batch_size=5000,
    )


def clean_address(raw: str) -> str | None:
    """None for what is no IP address: gunicorn on a socket reports an empty one."""
    try:
        return str(ip_address(raw))
    except ValueError:
        return None


# --- Logins ---------------------------------------------------------------------------------------------


@receiver(user_logged_in, dispatch_uid="audit_login")
def _logged_in(user: User, **_: Any) -> None:
    record("login", actor=Actor.of_user(user), subject=f"user:{user.pk}")


@receiver(user_logged_out, dispatch_uid="audit_logout")
def _logged_out(user: User | None, **_: Any) -> None:
    if user is not None:
        record("logout", actor=Actor.of_user(user), subject=f"user:{user.pk}")


@receiver(user_login_failed, dispatch_uid="audit_login_failed")
def _login_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """A name that is nobody's is not kept: people type passwords into the name's field."""
    name = str(credentials.get(User.USERNAME_FIELD, ""))[:150].replace("\x00", "")
    user = User.objects.filter(username=name).first()
    actor = Actor("anonymous", user.get_username() if user else "unknown")
    record("login.failed", actor=actor, subject=f"user:{user.pk}" if user else "")
