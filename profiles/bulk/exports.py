"""A list of profile ids → a CSV file, written by a job that appends to it, found in a list, removed after some days."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Forbidden, NotFound
from cdp.job_steps import Chunk, JobFailed, actor_of, handler
from cdp.jobs import start_job
from cdp.mail import queue_mail
from cdp.models import Job
from cdp.spreadsheets import BOM, as_csv
from profiles.bulk.csv_rows import column_names, rows
from profiles.bulk.run_action import pack, unpack

KIND = "profiles.export"
CHUNK = 1000
KEPT_DAYS = 7


@transaction.atomic
def start_export(*, profile_ids: Sequence[int], columns: Sequence[str] | None = None, actor: Actor) -> Job:
    """Write these profiles to a file in the background, with these columns (None: all); a mail says when it is ready.

    Raises Forbidden without the right to export many, Invalid for a column there is not.
    """
    if not actor.can("profiles.bulk_export"):
        raise Forbidden(f"{actor.name} may not export many people.")
    job = start_job(
        kind=KIND,
        actor=actor,
        title=f"Export {len(profile_ids):,} {_people(len(profile_ids))}",
        params={"ids": pack(profile_ids), "columns": column_names(columns)},
        permission="profiles.bulk_export",
        total=len(profile_ids),
        unit="people",
    )
    audit.record(
        "profile.bulk_export", actor=actor, subject=f"job:{job.pk}", detail={"people": len(profile_ids)}
    )
    return job


def file_of(job: Job) -> Path:
    """Where the job's file is: named by the job's number alone, outside everything that is served."""
    return Path(settings.MEDIA_ROOT) / "exports" / f"people-{job.pk}.csv"


@dataclass(frozen=True, slots=True)
class Export:
    """One export of a list. ``size`` is None while there is no file to download."""

    job: Job
    people: int
    size: int | None
    expires_at: datetime.datetime | None


def exports_of(actor: Actor, *, limit: int = 50) -> list[Export]:
    """The actor's exports, newest first. One query."""
    own = Q(user_id=actor.user_id) & Q(key_id=actor.key_id)
    jobs = Job.objects.filter(own, kind=KIND)
    return [export_of(job) for job in jobs.defer("params").order_by("-pk")[:limit]]


def export_of(job: Job) -> Export:
    is_ready = job.state == Job.State.DONE and file_of(job).exists()
    size = file_of(job).stat().st_size if is_ready else None
    days = datetime.timedelta(days=KEPT_DAYS)
    return Export(job, job.total or 0, size, job.finished_at + days if is_ready and job.finished_at else None)


def open_export(*, job_id: int, actor: Actor) -> Path:
    """The finished file, for whoever started the export and may still export. Audited.

    Raises NotFound (also for somebody else's), Forbidden.
    """
    job = Job.objects.filter(pk=job_id, kind=KIND).first()
    if job is None or (job.user_id, job.key_id) != (actor.user_id, actor.key_id):
        raise NotFound(f"There is no export {job_id}.")
    if not actor.can("profiles.bulk_export"):
        raise Forbidden(f"{actor.name} may not export many people.")
    if job.state != Job.State.DONE or not file_of(job).exists():
        raise NotFound(f"Export {job_id} is not ready, or its file is gone after {KEPT_DAYS} days.")
    audit.record("profile.bulk_export.download", actor=actor, subject=f"job:{job_id}")
    return file_of(job)


def forget_exports(*, days: int = KEPT_DAYS) -> int:
    """Remove files older than ``days``; the number removed."""
    folder = Path(settings.MEDIA_ROOT) / "exports"
    limit = (timezone.now() - datetime.timedelta(days=days)).timestamp()
    gone = 0
    for path in folder.glob("people-*.csv") if folder.exists() else ():
        # Another worker may be removing the same file right now.
        if path.exists() and path.stat().st_mtime < limit:
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def _end(job: Job) -> None:
    """A file that was not finished is never downloaded; one that is ready is announced."""
    if job.state != Job.State.DONE:
        file_of(job).unlink(missing_ok=True)
        return
    user = job.user or (job.key.created_by if job.key else None)
    if user is not None and user.email:
        people = job.result.get("people_written", 0)
        text = (
            f"The file with {people:,} {_people(people)} is ready. "
            f"Only you can download it, for {KEPT_DAYS} days:\n\n{_url(job)}\n"
        )
        queue_mail(to=[user.email], subject=f"{job.title}: the file is ready", text=text, job=job)


def _people(count: int) -> str:
    return "person" if count == 1 else "people"


def _url(job: Job) -> str:
    try:
        path = reverse("admin:profiles_profile_export", args=[job.pk])
    except NoReverseMatch:  # a process without the admin
        path = f"/admin/profiles/profile/export/{job.pk}/"
    return settings.CDP_URL.rstrip("/") + path


@handler(KIND, on_end=_end)
def _step(chunk: Chunk) -> bool:
    """Append one chunk. The cursor holds how long the file was after the last one that counts: whatever a
    killed worker wrote behind that is cut off."""
    ids = unpack(chunk.params["ids"])
    start, size = chunk.cursor.get("next", 0), chunk.cursor.get("bytes", 0)
    part = ids[start : start + CHUNK]
    names = chunk.params["columns"]
    with chunk.commit(done=len(part)) as progress:
        actor = actor_of(chunk.job)
        file_rows = rows(part, names, can_view_pii=actor.can("profiles.view_pii"))
        content = (BOM + as_csv([names]) if start == 0 else b"") + as_csv(file_rows)
        progress.cursor = {"next": start + len(part), "bytes": size + len(content)}
        progress.result = {"people_written": chunk.job.result.get("people_written", 0) + len(file_rows)}
        _append(file_of(chunk.job), content, at=size)
    return bool(start + len(part) < len(ids))


def _append(path: Path, content: bytes, *, at: int) -> None:
    """Put the bytes at this place and on the disk, and cut off whatever was behind it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(handle).st_size < at:
                raise JobFailed("The beginning of the export's file is gone. Start the export again.")
            os.ftruncate(handle, at)
            os.pwrite(handle, content, at)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise JobFailed(f"The export's file could not be written: {error.strerror}.") from error
