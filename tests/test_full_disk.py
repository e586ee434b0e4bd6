"""A disk that is full is named: 507 or 503 to whoever asks, waiting or failed jobs, and no mail that cannot be noted."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core import mail as django_mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, models
from django.test import Client, RequestFactory

from cdp import job_steps, jobs
from cdp.actors import Actor
from cdp.api.problems import problem
from cdp.full_disk import DATABASE, FILES, full_disk, no_room
from cdp.jobs import resume_job, start_job
from cdp.mail import queue_mail, send_queued
from cdp.middleware import answer_to
from cdp.models import Job, Mail, User


def of_database() -> OperationalError:
    error = OperationalError("could not extend file")
    error.__cause__ = psycopg.errors.DiskFull("could not extend file")
    return error


def of_files() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_from_other_errors() -> None:
    assert full_disk(of_database()) == full_disk(psycopg.errors.DiskFull("x")) == DATABASE
    assert full_disk(of_files()) == full_disk(no_room(ValueError("x"))) == FILES
    assert full_disk(OSError(errno.EDQUOT, "Quota")) == FILES
    others = OSError(errno.EIO, "Input/output error"), psycopg.errors.TooManyConnections("x"), ValueError("x")
    assert [full_disk(other) for other in others] == [None, None, None]


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (
            of_files(),
            507,
            "The disk of CDP_DATA is full. Nothing was stored or changed. Try again once there is room on it.",
        ),
        (
            of_database(),
            503,
            "The disk of the database is full. Nothing was stored or changed. Try again once there is room on it.",
        ),
    ],
)
def test_whoever_asks_is_told_which_disk(error: Exception, status: int, detail: str) -> None:
    page = answer_to(RequestFactory().get("/admin/"), error)
    assert page is not None
    assert (page.status_code, page["Retry-After"], detail in page.content.decode()) == (status, "5", True)
    program = answer_to(RequestFactory().get("/v1/track"), error)
    assert program is not None
    body = json.loads(program.content)
    assert (program.status_code, body["code"], body["detail"]) == (status, "disk_full", detail)
    answer = problem(error, {})
    assert answer is not None
    assert (answer.status_code, answer.data["code"], answer.data["detail"]) == (status, "disk_full", detail)


@pytest.fixture
def step() -> Any:
    """A kind of job whose next steps raise the script's errors, one each, and then do their work."""
    script: list[Exception] = []

    @job_steps.handler("test.full")
    def step(chunk: job_steps.Chunk) -> bool:
        with chunk.commit(cursor={"at": 1}, done=1):
            if script:
                raise script.pop(0)
        return False

    yield script
    del job_steps.handlers["test.full"]


def begin() -> Job:
    return start_job(kind="test.full", actor=Actor.system(), total=1)


def again(job: Job) -> Job:
    Job.objects.filter(pk=job.pk).update(wake_at="2000-01-01T00:00:00Z")
    jobs.run(job.pk)
    job.refresh_from_db()
    return job


def test_a_job_waits_for_room_in_the_database_however_long_it_takes(db: None, step: list[Exception]) -> None:
    step += [of_database() for _ in range(2 * jobs.MAX_ATTEMPTS)]
    job = begin()
    for _ in range(2 * jobs.MAX_ATTEMPTS):
        again(job)
        assert (job.state, job.problem, job.done, job.attempts) == (
            "queued",
            "The disk of the database is full. This goes on by itself once there is room.",
            0,
            0,
        )
        assert job.lease_token is None
    again(job)
    assert (job.state, job.problem, job.done) == ("done", "", 1)


def test_a_job_without_room_for_its_files_fails_and_goes_on_when_resumed(
    db: None, step: list[Exception], ada: User
) -> None:
    step.append(of_files())
    job = again(begin())
    assert (job.state, job.problem) == (
        "failed",
        "The disk of CDP_DATA is full. What was done stays done; make room, then resume.",
    )
    resume_job(job_id=job.pk, actor=Actor.of_user(ada))
    assert again(job).state == "done"


def test_a_mail_that_cannot_be_noted_is_not_sent(
    db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every ten seconds the same mail again is what a full disk must not lead to."""
    settings.EMAIL_URL = "memory://"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    queue_mail(to=["ann@example.com"], subject="Hello", text="Hello")
    save = models.Model.save

    def full(self: models.Model, *args: Any, **kwargs: Any) -> None:
        raise of_database()

    monkeypatch.setattr(Mail, "save", full)
    for _ in range(2):
        with pytest.raises(OperationalError):
            send_queued()
    assert django_mail.outbox == []
    monkeypatch.setattr(Mail, "save", save)
    assert send_queued() == 1
    assert [message.to for message in django_mail.outbox] == [["ann@example.com"]]
    row = Mail.objects.get()
    assert (row.state, row.attempts) == (Mail.State.SENT, 1)


@pytest.mark.parametrize("checks_csrf", [True, False])
def test_an_upload_that_does_not_fit_is_refused_in_words(
    ada: User, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks_csrf: bool
) -> None:
    """Also where the form is read before the view is reached, to look for the token."""

    def full(self: Any, data: bytes, start: int) -> None:
        raise of_files()

    monkeypatch.setattr("django.core.files.uploadhandler.TemporaryFileUploadHandler.receive_data_chunk", full)
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "incoming")
    (tmp_path / "incoming").mkdir()
    client = Client(raise_request_exception=False, enforce_csrf_checks=checks_csrf)
    client.force_login(ada)
    client.get("/admin/imports/import/")
    page = client.post(
        "/admin/imports/import/add/", {"file": SimpleUploadedFile("people.csv", b"email\na@b.example\n")}
    )
    assert page.status_code == 507
    assert list(Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir()) == []
    assert "The disk of CDP_DATA is full. Nothing was stored or changed." in page.content.decode()
