"""Rows of the audit log → a chain of digests, and the first row that does not fit it.

In id order each row gets a position in the chain and a digest over itself and the digest before it, so that a changed,
removed or inserted row is noticed. Beat seals new rows every minute. The chain's last digest goes to the process log
with every seal; who keeps those logs elsewhere also notices a tail cut off or a chain made anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import UTC

from django.db import connection, transaction
from django.db.models import Max

from cdp import job_steps, jobs
from cdp.actors import Actor
from cdp.locks import Lock, try_take
from cdp.models import AuditEntry, Job

log = logging.getLogger(__name__)

_GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Verified:
    """``broken_id`` is the first row that does not fit (None: the chain is intact), ``reason`` is how."""

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
    higher ids were sealed takes the next position: the chain follows ``sealed``, not the id.
    """
    with transaction.atomic():
        if not _only_sealer():
            return 0
        head = AuditEntry.objects.filter(sealed__isnull=False).order_by("-sealed").first()
        position, digest = (head.sealed or 0, head.digest) if head else (0, _GENESIS)
        ids: list[int] = []
        positions: list[int] = []
        digests: list[str] = []
        for entry in AuditEntry.objects.filter(sealed__isnull=True).order_by("pk")[:limit]:
            position += 1
            digest = digest_of(entry, position, digest)
            ids.append(entry.pk)
            positions.append(position)
            digests.append(digest)
        if ids:
            _write_seals(ids, positions, digests)
            log.info("audit log sealed", extra={"audit_sealed": position, "audit_head": digest})
    return len(ids)


def verify(*, after: int = 0, previous: str = _GENESIS, limit: int | None = None) -> Verified:
    """Recompute the chain, in constant memory, and name the first row that breaks it.

    The whole of it, or ``limit`` positions behind the position ``after``, whose digest is ``previous``.
    """
    position, digest = after, previous
    unsealed = AuditEntry.objects.filter(sealed__isnull=True).count()
    sealed = AuditEntry.objects.filter(sealed__gt=after).order_by("sealed")[:limit]
    for entry in sealed.iterator(chunk_size=2000):
        position += 1
        if entry.sealed != position:
            reason = f"Place {position} of the chain is missing before this row."
            return Verified(position - 1, unsealed, digest, entry.pk, reason)
        expected = digest_of(entry, position, digest)
        if entry.digest != expected:
            reason = "The row or one before it was changed after it was sealed."
            return Verified(position - 1, unsealed, digest, entry.pk, reason)
        digest = expected
    return Verified(position, unsealed, digest)


@job_steps.handler("audit.verify")
def _verify_some(chunk: job_steps.Chunk) -> bool:
    """The whole chain as a job: a log of years takes minutes."""
    verified = verify(
        after=chunk.cursor.get("place", 0), previous=chunk.cursor.get("digest", _GENESIS), limit=20_000
    )
    done = verified.sealed - chunk.cursor.get("place", 0)
    with chunk.commit(cursor={"place": verified.sealed, "digest": verified.head}, done=done) as progress:
        progress.result = {"sealed entries checked": verified.sealed, "head": verified.head}
    if not verified.holds:
        raise job_steps.JobFailed(f"The chain breaks at entry #{verified.broken_id}. {verified.reason}")
    return bool(done > 0)


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


def digest_of(entry: AuditEntry, position: int, previous: str) -> str:
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
        "sealed": position,
        "previous": previous,
    }
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _only_sealer() -> bool:
    return try_take(Lock.AUDIT_SEAL)


def _write_seals(ids: list[int], positions: list[int], digests: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE cdp_auditentry SET sealed = s.sealed, digest = s.digest"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS s (id, sealed, digest)"
            " WHERE cdp_auditentry.id = s.id",
            [ids, positions, digests],
        )
