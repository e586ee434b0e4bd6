"""A full disk, of files or of the database: each answer and job names it, nothing is lost, and all goes on once there is room."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from cdp.actors import Actor
from cdp.invariants import violations
from cdp.jobs import resume_job
from cdp.local.paths import throwaway_folder
from cdp.models import Job
from profiles.bulk.exports import file_of, start_export
from profiles.duplicates.finding.full_scan import folder_of, start_scan
from profiles.models import Event, Profile
from profiles.tracking.sources.sources import create_source
from tests.faults import stories
from tests.faults.harness import QUICK, Bench, served, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults"), pytest.mark.timeout(600)]

ROWS = 6000
# Of a call: many, so that the room is gone while the import is still at work.
EVENTS = 400
FILES_FULL = "The disk of CDP_DATA is full."
DATABASE_FULL = "The disk of the database is full."
RETRY = "Nothing was stored or changed. Try again once there is room on it."
PAGES = (
    *(
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/admin/login/",
        "/admin/",
        "/nowhere",
        "/v1/projects/x/settings",
    ),
    *(
        f"/api/v1/{name}/"
        for name in ("profiles", "tags", "segments", "imports", "jobs", "exports", "webhooks")
    ),
)


@contextmanager
def small_volume(megabytes: int) -> Iterator[Path]:
    """A disk of its own, of this size."""
    with throwaway_folder() as folder:
        volume = folder / "volume"
        volume.mkdir()
        options = f"size={megabytes}m,mode=0711"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", volume], capture_output=True, text=True
        )
        if mounted.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
        try:
            yield volume
        finally:
            subprocess.run(["umount", "--lazy", volume], check=True)


def fill(volume: Path) -> None:
    """Not a page is left."""
    with (volume / "filler").open("ab", buffering=0) as filler:
        for size in (1024 * 1024, 4096):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                continue


def make_room(volume: Path) -> None:
    (volume / "filler").unlink()


@contextmanager
def benched(django_db_blocker: Any, settings: Any, folder: Path, **kwargs: Any) -> Iterator[Bench]:
    with Bench.built(folder, **QUICK, **kwargs) as bench, django_db_blocker.unblock(), bench.connected():
        settings.CDP_DATA = Path(bench.env["CDP_DATA"])
        settings.MEDIA_ROOT = settings.CDP_DATA / "files"
        yield bench


def ask(address: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON of an answer, whatever it is."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address, body, named)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, {}


def upload(address: str, key: str, rows: int) -> tuple[int, dict[str, Any]]:
    lines = "".join(f"c{n},c{n}@example.com\n" for n in range(rows))
    body = (
        '--x\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\nContent-Type: text/csv\r\n\r\n'
        f"reference_id,email\n{lines}\r\n--x--\r\n"
    )
    content_type = "multipart/form-data; boundary=x"
    return ask(
        f"{address}/api/v1/imports/", body.encode(), Authorization=f"Bearer {key}", Content_Type=content_type
    )


def track(address: str, key: str, name: str, size: int = 1) -> tuple[int, dict[str, Any]]:
    events = [
        {"type": "track", "anonymousId": f"b{n}", "event": "Looked", "messageId": f"{name}-{n}", "properties": {"x": "y" * 900}}
        for n in range(size)
    ]  # fmt: skip
    body = json.dumps({"batch": events}).encode()
    return ask(f"{address}/v1/batch", body, X_Write_Key=key, Content_Type="application/json")


def ended(job: Job) -> Job:
    def has_ended() -> bool:
        job.refresh_from_db()
        return not job.is_open

    wait_until(has_ended, what=f"the end of {job.title}")
    return job


def test_without_room_for_files_requests_are_answered_and_work_says_why_it_stopped(
    django_db_blocker: Any, settings: Any, tmp_path: Path
) -> None:
    log = tmp_path / "web.log"
    with small_volume(96) as volume, throwaway_folder() as folder:
        figures = volume / "figures"  # where nobody should put them
        figures.mkdir()
        env = {"CDP_DATA": str(volume), "PROMETHEUS_MULTIPROC_DIR": str(figures)}
        with benched(django_db_blocker, settings, folder, **env) as bench:
            bench.manage("collectstatic", "--noinput", "--verbosity", "0")
            key = bench.manage("apikey", "create", "shop").splitlines()[-1]
            source_key = create_source(name="Shop", kind="server", actor=Actor.system()).write_key
            bench.ready("one")
            user = stories.staff()
            actor = Actor.of_user(user)
            stories.know_people("known", 1000, user)
            waiting = stories.upload(stories.lines("later", 200), name="later.csv", user=user)
            with served(bench, log) as address:
                wait_until(lambda: ask(f"{address}/healthz")[0] == 200, what="the web process")
                fill(volume)
                for page in PAGES:
                    assert ask(address + page)[0] in (200, 302, 401, 404), page
                for rows in (1, 20_000):
                    status, problem = upload(address, key, rows)
                    assert (status, problem["code"], problem["detail"]) == (
                        507,
                        "disk_full",
                        f"{FILES_FULL} {RETRY}",
                    )
                wait_until(lambda: not list((volume / "incoming").iterdir()), what="the half upload gone")
                assert track(address, source_key, "full")[0] == 200

                ids = list(Profile.objects.values_list("pk", flat=True))
                export = ended(start_export(profile_ids=ids, actor=actor))
                assert (export.state, export.problem) == (
                    "failed",
                    f"The export's file could not be written: {FILES_FULL} Start the export again once this is put right.",
                )
                assert not file_of(export).exists()
                scan = ended(start_scan(actor=actor))
                assert (scan.state, scan.problem) == (
                    "failed",
                    f"{FILES_FULL} What was done stays done; make room, then resume.",
                )
                assert not folder_of(scan).exists()
                stories.carry_out(waiting, user)  # its file is there, and its rows go to the database

                make_room(volume)
                assert upload(address, key, 1)[0] == 201
                resume_job(job_id=scan.pk, actor=actor)
                assert ended(scan).state == "done"
                export = ended(start_export(profile_ids=ids, actor=actor))
                assert (export.state, file_of(export).read_bytes().count(b"\n") > len(ids)) == ("done", True)
            assert violations() == []
    text = log.read_text()
    assert "SIGBUS" not in text
    assert text.count("Booting worker") == 1, "the same process answered all along"


# So that tables run out of room before the write-ahead log does: its next files are there already.
WAL_IS_THERE = {"max_wal_size": "192MB", "min_wal_size": "192MB", "wal_init_zero": "on"}
LOG_150_MB = (
    "SELECT pg_logical_emit_message(false, 'room', repeat('x', 1000000)) FROM generate_series(1, 150)"
)


def track_until_refused(address: str, key: str) -> tuple[list[str], dict[str, Any]]:
    """The calls that were taken, and the answer to the first that was not."""
    taken: list[str] = []
    for number in range(400):
        status, answer = track(address, key, f"call{number}", EVENTS)
        if status != 200:
            assert status == 503, answer
            return taken, answer
        taken.append(f"call{number}")
    raise AssertionError("there was room for everything")


def send_again(address: str, key: str, taken: list[str]) -> None:
    """All of it, as an SDK does that is not sure."""
    for number in range(len(taken) + 1):
        assert track(address, key, f"call{number}", EVENTS)[0] == 200
    assert Event.objects.filter(name__name="Looked").count() == EVENTS * (len(taken) + 1)


def test_without_room_for_tables_work_waits_and_goes_on_by_itself(
    django_db_blocker: Any, settings: Any, tmp_path: Path
) -> None:
    with (
        small_volume(700) as volume,
        throwaway_folder() as folder,
        benched(django_db_blocker, settings, folder, database=volume, tuning=WAL_IS_THERE) as bench,
    ):
        bench.ready("one")
        user = stories.staff()
        clean = stories.in_peace(bench, ROWS)
        key = create_source(name="Shop", kind="server", actor=Actor.system()).write_key
        for _ in range(2):
            bench.sql(LOG_150_MB)
            bench.sql("CHECKPOINT")
        with served(bench, tmp_path / "web.log") as address:
            wait_until(lambda: ask(f"{address}/healthz")[0] == 200, what="the web process")
            job = stories.start("full", ROWS, user=user, mode="slow-3")
            wait_until(
                lambda: (work := stories.work_of(job)).kind == "import.apply" and work.done > 0,
                what="applying",
            )
            fill(volume)
            taken, refusal = track_until_refused(address, key)
            assert (refusal["code"], refusal["message"]) == ("disk_full", f"{DATABASE_FULL} {RETRY}")
            sentence = f"{DATABASE_FULL} This goes on by itself once there is room."

            def waits() -> bool:
                work = stories.work_of(job)
                assert work.is_open, (work.kind, work.state, work.problem, work.done)
                return bool(work.problem == sentence)

            wait_until(waits, what="the import says why it waits")
            assert ask(f"{address}/healthz")[0] == 200
            make_room(volume)
            send_again(address, key, taken)
        wait_until(lambda: stories.has_ended(job), what="the import's end")
        stories.assert_whole(job, "full", clean)
        assert violations() == []


def test_without_room_for_its_log_the_database_stops_and_has_everything_afterwards(
    django_db_blocker: Any, settings: Any, tmp_path: Path
) -> None:
    """PostgreSQL ends itself rather than to acknowledge what it cannot write down; its supervisor starts it again."""
    sizes = {"max_wal_size": "64MB", "min_wal_size": "32MB"}
    with (
        small_volume(400) as volume,
        throwaway_folder() as folder,
        benched(django_db_blocker, settings, folder, database=volume, tuning=sizes) as bench,
    ):
        key = create_source(name="Shop", kind="server", actor=Actor.system()).write_key
        with served(bench, tmp_path / "web.log") as address:
            wait_until(lambda: ask(f"{address}/healthz")[0] == 200, what="the web process")
            fill(volume)
            taken, refusal = track_until_refused(address, key)
            assert refusal["code"] in ("disk_full", "unavailable")
            connection.close()
            bench.postgres.stop("immediate")  # where it has not done so itself
            make_room(volume)
            bench.postgres.restart()
            wait_until(lambda: track(address, key, "call0", EVENTS)[0] == 200, what="tracking again")
            send_again(address, key, taken)
        assert violations() == []
