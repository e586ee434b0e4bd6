"""A list of profile ids → a CSV or JSON Lines file, written by a job that appends to it, listed, removed after some days."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.db import models, transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.http import QueryDict
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Forbidden, Invalid, NotFound
from cdp.full_disk import full_disk
from cdp.job_steps import Chunk, JobFailed, actor_of, handler, problem_of
from cdp.jobs import run_to_end, start_job
from cdp.looks import record_look
from cdp.mail import queue_mail
from cdp.models import Job
from cdp.plurals import counted
from cdp.spreadsheets import BOM, as_csv
from profiles.bulk.csv_rows import cell, column_names, values
from profiles.bulk.run_action import pack, unpack
from profiles.models import Profile

KIND = "profiles.export"
PERMISSION = "profiles.bulk_export"
CHUNK = 1000
KEPT_DAYS = 7

CSV, JSON_LINES = "csv", "jsonl"
FORMATS = {CSV: "CSV", JSON_LINES: "JSON Lines"}
CONTENT_TYPES = {CSV: "text/csv; charset=utf-8", JSON_LINES: "application/x-ndjson; charset=utf-8"}

# Why somebody of the list is not in the file.
MERGED, DELETED = "merged", "deleted"
LEFT_OUT = {
    MERGED: "merged into somebody else after the export was started",
    DELETED: "deleted after the export was started",
}


@transaction.atomic
def start_export(
    *,
    profile_ids: Sequence[int],
    columns: Sequence[str] | None = None,
    file_format: str = CSV,
    spreadsheet_safe: bool = True,
    filters: str | None = None,
    at_once: bool = False,
    actor: Actor,
) -> Job:
    """Write these profiles to a file in the background, with these columns (None: all); a mail says when it is ready.

    ``spreadsheet_safe`` is about CSV: cells that a spreadsheet would run as a formula are guarded. ``filters`` are the
    list's parameters that chose the people, "" for everybody, None where they were ticked one by one. ``at_once``: for a
    list short enough to wait for; the job is done when this returns, and nobody gets a mail.
    Raises Forbidden without the right to export many, Invalid for a column or format there is not.
    """
    _require(actor)
    if file_format not in FORMATS:
        message = f"“{file_format}” is not a format of exports. Formats: {', '.join(FORMATS)}."
        raise Invalid([{"field": "format", "value": file_format, "message": message}])
    is_safe = file_format == CSV and spreadsheet_safe
    names = column_names(columns)
    if file_format == CSV and not is_safe:
        # By what it begins with, an import knows that apostrophes of this file are parts of its cells.
        names = [names[1], names[0], *names[2:]]
    params = {
        "columns": names,
        "format": file_format,
        "spreadsheet_safe": is_safe,
        "filters": filters,
        # Fixed now, so that no file is masked in a part of its lines.
        "is_masked": not actor.can("profiles.view_pii"),
        "sends_mail": not at_once,
    }
    job = start_job(
        kind=KIND,
        actor=actor,
        title=f"Export {counted(len(profile_ids), 'people')}",
        params={**params, "ids": pack(profile_ids)},
        permission=PERMISSION,
        total=len(profile_ids),
        unit="people",
    )
    detail = {
        "people": len(profile_ids),
        "columns": names,
        "format": file_format,
        # Their names alone: what was typed may name somebody.
        "filters": None if filters is None else sorted(QueryDict(filters)),
    }
    audit.record("profile.bulk_export", actor=actor, subject=f"job:{job.pk}", detail=detail)
    return run_to_end(job) if at_once else job


def _require(actor: Actor) -> None:
    if not actor.can(PERMISSION):
        raise Forbidden(f"{actor.name} may not export many people.")


# --- What was exported ----------------------------------------------------------------------------------


def file_of(job: Job) -> Path:
    """Where the job's file is: named by the job's number alone, outside everything that is served."""
    return Path(settings.MEDIA_ROOT) / "exports" / f"people-{job.pk}.{_params(job).get('format', CSV)}"


@dataclass(frozen=True, slots=True)
class Export:
    """One export of a list. ``people`` were asked for, ``written`` of them are in the file, ``left_out`` says why the
    others are not (reason → number). ``size`` is None while there is no file to download; ``filters`` as for
    ``start_export``.
    """

    job: Job
    people: int
    size: int | None
    expires_at: datetime.datetime | None
    columns: list[str] = field(default_factory=list)
    format: str = CSV
    spreadsheet_safe: bool = True
    is_masked: bool = False
    filters: str | None = None
    written: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def format_name(self) -> str:
        return FORMATS[self.format]


def export_jobs(actor: Actor) -> QuerySet[Job]:
    """The jobs of the actor's exports: their own and those of API keys they own. Without the ids of the people."""
    own = Q(user_id=actor.user_id, key_id=actor.key_id)
    if actor.user_id is not None:
        own |= Q(key__owner_id=actor.user_id)
    described = RawSQL("cdp_job.params - 'ids'", [], output_field=models.JSONField())
    jobs: QuerySet[Job] = Job.objects.filter(own, kind=KIND).select_related("user", "key")
    return jobs.defer("params").annotate(export_params=described)


def exports_of(actor: Actor, *, limit: int = 50) -> list[Export]:
    """The newest exports of the actor, newest first. One query."""
    return [export_of(job) for job in export_jobs(actor).order_by("-pk")[:limit]]


def find_export(job_id: int, actor: Actor) -> Export:
    """Raises NotFound, also for somebody else's."""
    job = export_jobs(actor).filter(pk=job_id).first()
    if job is None:
        raise NotFound(f"There is no export {job_id}.")
    return export_of(job)


def _params(job: Job) -> dict[str, Any]:
    params: dict[str, Any] = job.export_params if hasattr(job, "export_params") else job.params
    return params


def export_of(job: Job) -> Export:
    is_ready = job.state == Job.State.DONE and file_of(job).exists()
    params = _params(job)
    return Export(
        job=job,
        people=job.total or 0,
        size=file_of(job).stat().st_size if is_ready else None,
        expires_at=job.finished_at + datetime.timedelta(days=KEPT_DAYS)
        if is_ready and job.finished_at
        else None,
        columns=params["columns"],
        format=params.get("format", CSV),
        spreadsheet_safe=params.get("spreadsheet_safe", True),
        is_masked=params.get("is_masked", False),
        filters=params.get("filters"),
        written=job.result.get("people_written", 0),
        left_out=job.result.get("left_out", {}),
    )


def open_export(*, job_id: int, actor: Actor) -> Path:
    """The finished file, for whoever started the export and may still export. Audited.

    Raises NotFound (also for somebody else's), Forbidden.
    """
    export = find_export(job_id, actor)
    job = export.job
    _require(actor)
    if problem := problem_of(job):
        raise Forbidden(f"{problem.text} So the file of export {job_id} is closed. Start the export again.")
    if not export.is_masked and not actor.can("profiles.view_pii"):
        raise Forbidden(
            f"Export {job_id} was written with personal data, which {actor.name} may not see. Start it again: it will be masked."
        )
    if job.is_open:
        raise NotFound(
            f"Export {job_id} is not finished: {job.done:,} of {export.people:,} people are written."
        )
    if job.state != Job.State.DONE:
        raise NotFound(f"Export {job_id} was not finished, so it has no file. Start it again.")
    if export.size is None:
        raise NotFound(f"The file of export {job_id} was deleted after {KEPT_DAYS} days. Export again.")
    audit.record("profile.bulk_export.download", actor=actor, subject=f"job:{job_id}")
    # Whom the file shows was recorded while it was written, with the same subject.
    record_look("download", actor=actor, profile_ids=(), subject=f"job:{job_id}", is_masked=export.is_masked)
    return file_of(job)


def forget_exports(*, days: int = KEPT_DAYS) -> int:
    """Remove files older than ``days``; the number removed."""
    folder = Path(settings.MEDIA_ROOT) / "exports"
    limit = (timezone.now() - datetime.timedelta(days=days)).timestamp()
    gone = 0
    for path in folder.glob("people-*") if folder.exists() else ():
        # Another worker may be removing the same file right now.
        if path.exists() and path.stat().st_mtime < limit:
            path.unlink(missing_ok=True)
            gone += 1
    return gone


# --- The job --------------------------------------------------------------------------------------------


def _end(job: Job) -> None:
    """A file that was not finished is never downloaded; one that is ready is announced."""
    if job.state != Job.State.DONE:
        file_of(job).unlink(missing_ok=True)
        return
    user = job.user or (job.key.owner if job.key else None)
    if user is not None and user.is_active and user.email and job.params.get("sends_mail", True):
        people = job.result.get("people_written", 0)
        who = "Only you can download it" if job.user else "Only you and the API key can download it"
        text = (
            f"The file with {counted(people, 'people')} is ready. "
            f"{who}, for {KEPT_DAYS} days, and only while you may export people:\n\n{_url(job)}\n"
        )
        queue_mail(to=[user.email], subject=f"{job.title}: the file is ready", text=text, job=job)


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
    names, result = chunk.params["columns"], chunk.job.result
    with chunk.commit(done=len(part)) as progress:
        records = values(part, names, can_view_pii=_can_view_pii(chunk))
        content = _encode(records, chunk.params, is_first=start == 0)
        _record_whom(chunk.job, records, names)
        progress.cursor = {"next": start + len(part), "bytes": size + len(content)}
        progress.result = {"people_written": result.get("people_written", 0) + len(records)}
        if left_out := _left_out(part, len(records)):
            before = result.get("left_out", {})
            progress.result["left_out"] = {
                reason: before.get(reason, 0) + left_out.get(reason, 0) for reason in {**before, **left_out}
            }
        _append(file_of(chunk.job), content, at=size)
    return bool(start + len(part) < len(ids))


def _record_whom(job: Job, records: list[list[Any]], names: list[str]) -> None:
    """Who is in this part of the file, in the transaction that writes it: an export shows its people."""
    column = names.index("id")
    record_look(
        "export",
        actor=actor_of(job),
        profile_ids=[record[column] for record in records],
        subject=f"job:{job.pk}",
        is_masked=job.params.get("is_masked", False),
    )


def _can_view_pii(chunk: Chunk) -> bool:
    """As it was when the export was started. Raises JobFailed where the right is gone since."""
    if chunk.params.get("is_masked", False):
        return False
    actor = actor_of(chunk.job)
    if not actor.can("profiles.view_pii"):
        raise JobFailed(
            f"{actor.name} may not see personal data any more. Start it again: the file will be masked."
        )
    return True


def _encode(records: list[list[Any]], params: dict[str, Any], *, is_first: bool) -> bytes:
    """The records as they stand in the file, the first ones with what it begins with."""
    names = params["columns"]
    if params.get("format", CSV) == JSON_LINES:
        return b"".join(
            orjson.dumps(
                {name: None if value == "" else value for name, value in zip(names, record, strict=True)},
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for record in records
        )
    safe = params.get("spreadsheet_safe", True)
    rows = [
        [cell(name, value, safe) for name, value in zip(names, record, strict=True)] for record in records
    ]
    begin = (BOM if safe else b"") + as_csv([names], is_guarded=safe) if is_first else b""
    return begin + as_csv(rows, is_guarded=safe)


def _left_out(part: Sequence[int], written: int) -> dict[str, int]:
    """Reason → number of those of the list who are not live any more. A query where there are any."""
    if written == len(part):
        return {}
    gone = Profile.objects.filter(pk__in=part).exclude(status=Profile.Status.LIVE)
    by_status = dict(gone.values_list("status").annotate(count=Count("pk")))
    merged = by_status.get(Profile.Status.MERGED, 0)
    counts = {MERGED: merged, DELETED: len(part) - written - merged}
    return {reason: count for reason, count in counts.items() if count}


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
        reason = full_disk(error) or f"{error.strerror}."
        raise JobFailed(
            f"The export's file could not be written: {reason} Start the export again once this is put right."
        ) from error
