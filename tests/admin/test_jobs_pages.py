"""Jobs as people see them: progress, waiting, the switches, and whose they are."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cdp.models import AuditEntry, Job, User

Login = Callable[[User], Client]


def make_job(user: User | None, **fields: Any) -> Job:
    return Job.objects.create(
        **{"kind": "test", "title": "Apply people.csv", "user": user, "total": 200, "done": 50, **fields}
    )


def page(client: Client, job: Job) -> str:
    return client.get(reverse("admin:cdp_job_change", args=[job.pk])).content.decode()


def test_says_how_far_how_fast_and_how_long_still(ada: User, as_user: Login) -> None:
    job = make_job(ada, state="running", done=5000, total=20000, busy_seconds=10, resumes=1)
    html = page(as_user(ada), job)
    assert '<progress class="bar" max="100" value="25"' in html
    assert "5,000" in html
    assert "of 20,000" in html
    assert "500" in html
    assert "rows a second" in html
    assert "30 s" in html
    assert "1×" in html
    assert f'hx-get="/admin/cdp/job/{job.pk}/progress/"' in html


def test_says_how_long_it_worked(ada: User, as_user: Login) -> None:
    html = page(as_user(ada), make_job(ada, busy_seconds=200))
    assert "<dt>Working time</dt><dd>3 min 20 s</dd>" in html
    assert "Worked for" not in page(as_user(ada), make_job(ada))


def test_says_when_no_worker_takes_it(ada: User, as_user: Login) -> None:
    long_ago = timezone.now() - datetime.timedelta(minutes=10)
    waiting = make_job(ada, wake_at=long_ago)
    fresh = make_job(ada)
    between_two_slices = make_job(ada, wake_at=long_ago, progress_at=timezone.now())
    assert "waiting for a worker" in page(as_user(ada), waiting)
    assert "waiting for a worker" not in page(as_user(ada), fresh)
    assert "waiting for a worker" not in page(as_user(ada), between_two_slices)


def test_says_why_it_failed(ada: User, as_user: Login) -> None:
    problem = {"line": 41, "column": "email", "message": "Not an e-mail address: “@” is missing."}
    job = make_job(
        ada, state="failed", problem="Stopped at <b>line</b> 41.", errors=[problem, "And <i>this</i>."]
    )
    html = page(as_user(ada), job)
    assert "Stopped at &lt;b&gt;line&lt;/b&gt; 41." in html
    assert "line 41, column email: Not an e-mail address: “@” is missing." in html
    assert "And &lt;i&gt;this&lt;/i&gt;." in html
    assert "Resume" in html
    assert "Pause" not in html


def test_polling_asks_for_the_whole_page_once_the_job_has_ended(ada: User, as_user: Login) -> None:
    job = make_job(ada, state="running")
    url = reverse("admin:cdp_job_progress", args=[job.pk])
    running = as_user(ada).get(url)
    assert "HX-Refresh" not in running
    assert "hx-get" in running.content.decode()
    Job.objects.filter(pk=job.pk).update(state="done")
    ended = as_user(ada).get(url)
    assert ended["HX-Refresh"] == "true"
    assert "hx-get" not in ended.content.decode()


def test_pause_resume_cancel(ada: User, as_user: Login) -> None:
    job, client = make_job(ada), as_user(ada)

    def switch(name: str, **data: str) -> Any:
        answer = client.post(reverse(f"admin:cdp_job_{name}", args=[job.pk]), data)
        job.refresh_from_db()
        return answer

    assert client.get(reverse("admin:cdp_job_pause", args=[job.pk])).status_code == 405
    assert switch("pause")["Location"] == reverse("admin:cdp_job_change", args=[job.pk])
    assert job.state == "paused"
    switch("resume")
    assert job.state == "queued"
    assert switch("cancel", back="/admin/imports/import/3/")["Location"] == "/admin/imports/import/3/"
    assert job.state == "canceled"
    assert switch("cancel", back="//evil.example/")["Location"].startswith("/admin/")
    actions = AuditEntry.objects.filter(subject=f"job:{job.pk}").values_list("action", flat=True)
    assert set(actions) == {"job.pause", "job.resume", "job.cancel"}


def test_a_running_job_is_told_to_stop_after_its_step(ada: User, as_user: Login) -> None:
    job, client = make_job(ada, state="running"), as_user(ada)
    answer = client.post(reverse("admin:cdp_job_pause", args=[job.pk]), follow=True)
    assert "The job pauses after the current step." in answer.content.decode()
    assert "pausing after this step" in answer.content.decode()


def test_whose_jobs_one_sees_and_steers(ada: User, mira: User, sam: User, olga: User, as_user: Login) -> None:
    adas, sams = make_job(ada, title="Ada's"), make_job(sam, title="Sam's")
    listed = as_user(mira).get(reverse("admin:cdp_job_changelist")).content.decode()
    assert "Ada&#x27;s" in listed
    assert "Sam&#x27;s" in listed
    assert as_user(sam).get(reverse("admin:cdp_job_changelist")).status_code == 403
    assert "Pause" in page(as_user(sam), sams)  # one's own, without any right
    for name in ("change", "progress"):
        assert as_user(sam).get(reverse(f"admin:cdp_job_{name}", args=[adas.pk])).status_code == 403
    for name in ("pause", "resume", "cancel"):
        assert as_user(sam).post(reverse(f"admin:cdp_job_{name}", args=[adas.pk])).status_code == 403
        assert as_user(olga).post(reverse(f"admin:cdp_job_{name}", args=[sams.pk])).status_code == 403
    adas.refresh_from_db()
    assert adas.state == "queued"


def test_a_job_that_is_not_there(ada: User, olga: User, as_user: Login) -> None:
    for path in (
        "/admin/cdp/job/404404/change/",
        "/admin/cdp/job/x/change/",
        "/admin/cdp/job/404404/progress/",
    ):
        assert as_user(ada).get(path).status_code == 404
    assert as_user(olga).get("/admin/cdp/job/404404/change/").status_code == 403


def test_an_empty_list_says_what_comes_here(ada: User, as_user: Login) -> None:
    assert "No jobs yet" in as_user(ada).get(reverse("admin:cdp_job_changelist")).content.decode()
    Job.objects.create(kind="test")
    filtered = as_user(ada).get(reverse("admin:cdp_job_changelist"), {"state__exact": "failed"})
    assert "Nothing matches" in filtered.content.decode()
