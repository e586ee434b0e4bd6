"""The audit log: who did or looked at what, append-only and chained (G6).

Rows are written inside the acting transaction and never changed; a database trigger sees to that. A beat
task then *seals* them: in id order, each gets a place in the chain and a digest over itself and the digest
before it, so that a changed, removed or slipped-in row shows. The head of the chain goes to the process log
with every seal; who keeps those logs elsewhere also notices a tail cut off or a chain made anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC
from ipaddress import ip_address
from itertools import repeat
from typing import TYPE_CHECKING, Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import connection, transaction
from django.db.models import Max
from django.dispatch import receiver

from cdp import job_steps, jobs
from cdp.actors import Actor
from cdp.logs import request_address, request_id
from cdp.models import AuditEntry, Job, User

if TYPE_CHECKING:
    from django.http import HttpRequest

log = logging.getLogger(__name__)

_SEAL_LOCK = 7_302_101
_GENESIS = "0" * 64


def record(
    action: str, *, actor: Actor, subject: str = "", detail: dict[str, Any] | None = None
) -> AuditEntry:
    """Write down one act, in the transaction that acts. ``detail``: ids, counts, reasons, nobody's data."""
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
    address = _clean_address(request_address.get())
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


def _clean_address(raw: str) -> str | None:
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


# --- The chain ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verified:
    """``broken_id`` is the first row that does not fit (None: the chain holds), ``reason`` says how."""

    sealed: int
    unsealed: int
    head: str
    broken_id: int | None = None
    reason: str = ""

    @property
    def holds(self) -> bool:
        return self.broken_id is None


def seal(*, limit: int = 20_000) -> int:
    """Chain up to ``limit`` unsealed rows in id order; the number sealed.

    One sealer at a time (advisory lock); a second one leaves at once. A row whose transaction commits after
    higher ids were sealed takes the next place: the chain follows ``sealed``, not the id.
    """
    with transaction.atomic():
        if not _only_sealer():
            return 0
        head = AuditEntry.objects.filter(sealed__isnull=False).order_by("-sealed").first()
        place, digest = (head.sealed or 0, head.digest) if head else (0, _GENESIS)
        ids: list[int] = []
        places: list[int] = []
        digests: list[str] = []
        for entry in AuditEntry.objects.filter(sealed__isnull=True).order_by("pk")[:limit]:
            place += 1
            digest = digest_of(entry, place, digest)
            ids.append(entry.pk)
            places.append(place)
            digests.append(digest)
        if ids:
            _write_seals(ids, places, digests)
            log.info("audit log sealed", extra={"audit_sealed": place, "audit_head": digest})
    return len(ids)


def verify(*, after: int = 0, previous: str = _GENESIS, limit: int | None = None) -> Verified:
    """Recompute the chain, in constant memory, and name the first row that breaks it.

    The whole of it, or ``limit`` places behind the place ``after``, whose digest is ``previous``.
    """
    place, digest = after, previous
    unsealed = AuditEntry.objects.filter(sealed__isnull=True).count()
    sealed = AuditEntry.objects.filter(sealed__gt=after).order_by("sealed")[:limit]
    for entry in sealed.iterator(chunk_size=2000):
        place += 1
        if entry.sealed != place:
            reason = f"Place {place} of the chain is missing before this row."
            return Verified(place - 1, unsealed, digest, entry.pk, reason)
        expected = digest_of(entry, place, digest)
        if entry.digest != expected:
            reason = "The row or one before it was changed after it was sealed."
            return Verified(place - 1, unsealed, digest, entry.pk, reason)
        digest = expected
    return Verified(place, unsealed, digest)


@job_steps.handler("audit.verify")
def _verify_some(chunk: job_steps.Chunk) -> bool:
    """The whole chain as a job: a log of years takes minutes."""
    found = verify(
        after=chunk.cursor.get("place", 0), previous=chunk.cursor.get("digest", _GENESIS), limit=20_000
    )
    done = found.sealed - chunk.cursor.get("place", 0)
    with chunk.commit(cursor={"place": found.sealed, "digest": found.head}, done=done) as progress:
        progress.result = {"sealed entries checked": found.sealed, "head": found.head}
    if not found.holds:
        raise job_steps.JobFailed(f"The chain breaks at entry #{found.broken_id}. {found.reason}")
    return done > 0


def start_verifying(*, actor: Actor) -> Job:
    """Check the whole chain in the background; the job fails with the first row that does not fit."""
    head = AuditEntry.objects.filter(sealed__isnull=False).aggregate(top=Max("sealed"))["top"] or 0
    return jobs.start_job(
        kind="audit.verify",
        actor=actor,
        title="Check the audit log",
        permission="cdp.view_auditentry",
        total=head,
        unit="entries",
    )


def digest_of(entry: AuditEntry, place: int, previous: str) -> str:
    """SHA-256 over the row as canonical JSON (sorted keys, no spaces, UTC microseconds) and ``previous``."""
    row = {
        "id": entry.pk,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "user": entry.user_id,
        "key": entry.key_id,
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "detail": entry.detail,
        "address": entry.address,
        "request_id": entry.request_id,
        "sealed": place,
        "previous": previous,
    }
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _only_sealer() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_SEAL_LOCK])
        return bool(cursor.fetchone()[0])


def _write_seals(ids: list[int], places: list[int], digests: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE cdp_auditentry SET sealed = s.sealed, digest = s.digest"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS s (id, sealed, digest)"
            " WHERE cdp_auditentry.id = s.id",
            [ids, places, digests],
        )
