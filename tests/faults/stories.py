"""What an import did, as data to compare: the same file, imported under faults and in peace, tells one story.

A file's people carry a prefix of their own, so that one database holds many runs of the same file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import connection

from cdp.actors import Actor
from cdp.invariants import violations
from cdp.models import Job, Mail, User
from imports.models import Import
from imports.plan import plan_import
from imports.upload import upload_import
from profiles.builtin_sources import builtin_source
from tests.faults.harness import Bench, wait_until

HEADER = "reference_id,email,first_name,city,phone,tags,newsletter,proof\n"
MAPPING = {
    "reference_id": "customer_id",
    "email": "email",
    "first_name": "first_name",
    "city": "city",
    "phone": "phone",
    "tags": "tags",
    "newsletter": "consent.email.newsletter",
    "proof": "consent.email.newsletter.proof",
}
CITIES = ("Kraków", "Gdańsk", "Praha", "Wien", "")
_BROWSER = re.compile(r"anonymous_id:[0-9a-f-]{36}")


def lines(prefix: str, rows: int) -> Iterator[str]:
    """New and known people, some twice, some sharing an address, some that cannot be read."""
    for n in range(rows):
        who, mail = n, f"{prefix}.{n}@example.com"
        if n % 40 == 11:
            who, mail = n - 10, ""
        elif n % 50 == 21:
            mail = f"{prefix}.{n - 1}@example.com"
        elif n % 25 == 7:
            mail = "nobody"
        tags = ("", "vip", "", '"club,vip"')[n % 4]
        newsletter = ("", "granted", "withdrawn")[n % 3]
        yield (
            f"{prefix}-{who},{mail},Name{who},{CITIES[n % 5]},+4860{n:07},{tags},{newsletter},"
            f"{'form 7' if newsletter == 'granted' else ''}\n"
        )


def known(prefix: str, rows: int) -> Iterator[str]:
    """Every tenth of them, known before: half with less than the file tells."""
    for n in range(3, rows, 10):
        city = CITIES[n % 5] if n % 20 == 3 else ""
        yield f"{prefix}-{n},{prefix}.{n}@example.com,Name{n},{city},,,,\n"


def staff(name: str = "ada", **fields: Any) -> User:
    """A login on the bench; there since an earlier test or not."""
    values = {"email": f"{name}@staff.example", "is_staff": True, "is_superuser": True, "is_active": True}
    user, _ = User.objects.update_or_create(username=name, defaults={**values, **fields})
    return user


def upload(body: Iterator[str], *, name: str, user: User) -> Import:
    data = (HEADER + "".join(body)).encode()
    with TemporaryUploadedFile(name, "text/csv", len(data), None) as file:
        file.write(data)
        file.seek(0)
        return upload_import(
            file=file,
            mapping=MAPPING,
            options={"auto_apply": True},
            actor=Actor.of_user(user),
            source=builtin_source("staff"),
        )


def know_people(prefix: str, rows: int, user: User) -> None:
    """Import the ``known`` people, undisturbed."""
    carry_out(upload(known(prefix, rows), name=f"known-{prefix}.csv", user=user), user)


def carry_out(job: Import, user: User) -> Import:
    """Plan and apply by the bench's workers, undisturbed."""
    plan_import(import_id=job.pk, actor=Actor.of_user(user))
    wait_until(lambda: has_ended(job), what=f"the end of import {job.pk}")
    assert job.state == "done", (job.state, job.problem)
    return job


def file_name(prefix: str, mode: str = "") -> str:
    return f"{mode}-{prefix}.csv" if mode else f"{prefix}.csv"


def start(prefix: str, rows: int, *, user: User, mode: str = "") -> Import:
    """Known people are there, the file is uploaded, and workers were woken to plan it and go on."""
    know_people(prefix, rows, user)
    return send(prefix, rows, user=user, mode=mode)


def send(prefix: str, rows: int, *, user: User, mode: str = "") -> Import:
    """``start`` where the known people are there already."""
    job = upload(lines(prefix, rows), name=file_name(prefix, mode), user=user)
    plan_import(import_id=job.pk, actor=Actor.of_user(user))
    job.refresh_from_db()
    return job


def in_peace(bench: Bench, rows: int) -> Story:
    """What the file of so many rows comes to when nothing goes wrong. Told once per bench."""
    if rows not in bench.peace:
        prefix = f"peace{rows}"
        job = start(prefix, rows, user=staff())
        wait_until(lambda: has_ended(job), 600, what="the undisturbed import's end")
        bench.peace[rows] = story_of(job, prefix)
        assert_whole(job, prefix, bench.peace[rows])
    return bench.peace[rows]


# --- Telling ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """``outcomes`` by line, ``people`` and ``journal`` as (line, what) with how often, without ids and times."""

    outcomes: dict[int, str]
    people: Counter[tuple[Any, ...]]
    journal: Counter[tuple[Any, ...]]
    counts: dict[str, int]
    totals: dict[str, int]


def story_of(job: Import, prefix: str) -> Story:
    job.refresh_from_db()

    def rows(sql: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql, {"import": job.pk, "like": f"{prefix}%"})
            return cursor.fetchall()

    def plain(value: Any) -> Any:
        text = _BROWSER.sub("anonymous_id:?", value) if isinstance(value, str) else value
        return text.replace(prefix, "#") if isinstance(text, str) else text

    touched = "SELECT DISTINCT profile_id, line FROM profiles_change WHERE cause = 'import' AND cause_id = %(import)s"
    return Story(
        outcomes=dict(rows("SELECT line, outcome FROM imports_row WHERE import_id = %(import)s")),
        people=Counter(
            tuple(map(plain, row))
            for row in rows(
                f"""
                SELECT c.line, p.first_name, p.city, p.email, p.phone, p.version, p.is_recognized, p.status,
                    (SELECT string_agg(t.name || ':' || CASE WHEN t.name = 'anonymous_id' THEN '?' ELSE i.value END
                        || ':' || i.resolves, ' ' ORDER BY t.name, i.value)
                     FROM profiles_identifier i JOIN profiles_identifiertype t ON t.id = i.type_id
                     WHERE i.profile_id = p.id),
                    (SELECT string_agg(t.name, ' ' ORDER BY t.name) FROM profiles_profiletag l
                     JOIN profiles_tag t ON t.id = l.tag_id WHERE l.profile_id = p.id),
                    (SELECT string_agg(n.state || n.channel || n.purpose, ' ' ORDER BY n.state)
                     FROM profiles_consent n WHERE n.profile_id = p.id)
                FROM ({touched}) c JOIN profiles_profile p ON p.id = c.profile_id
                """
            )
        ),
        journal=Counter(
            tuple(map(plain, row))
            for row in rows(
                "SELECT line, kind, fields::text FROM profiles_change"
                " WHERE cause = 'import' AND cause_id = %(import)s"
            )
        ),
        counts=job.counts,
        totals={
            "people": rows("SELECT count(*) FROM profiles_identifier WHERE value LIKE %(like)s || '-%%'")[0][
                0
            ],
            "addresses": rows("SELECT count(*) FROM profiles_identifier WHERE value LIKE %(like)s || '.%%'")[
                0
            ][0],
            "pairs": rows(
                "SELECT count(*) FROM profiles_duplicatepair WHERE (reasons -> 0 ->> 'import')::bigint = %(import)s"
            )[0][0],
            "untold": rows(
                "SELECT count(*) FROM profiles_profile p WHERE NOT EXISTS"
                " (SELECT FROM profiles_change c WHERE c.profile_id = p.id AND c.kind = 'created')"
                # Other tests of this database make people without a journal.
                " AND p.created_at >= (SELECT created_at FROM imports_import WHERE id = %(import)s)"
            )[0][0],
        },
    )


def differences(story: Story, clean: Story) -> dict[str, int]:
    """How many lines have another outcome, and how many people, journal rows are missing or too many."""
    counts = {
        "outcomes": sum(
            story.outcomes.get(line) != clean.outcomes.get(line)
            for line in story.outcomes.keys() | clean.outcomes.keys()
        ),
        "people lost": (clean.people - story.people).total(),
        "people doubled": (story.people - clean.people).total(),
        "journal lost": (clean.journal - story.journal).total(),
        "journal doubled": (story.journal - clean.journal).total(),
        "counts": int(story.counts != clean.counts),
        "totals": int(story.totals != clean.totals),
    }
    return {name: count for name, count in counts.items() if count}


def assert_whole(job: Import, prefix: str, clean: Story) -> None:
    """V2, V7 and the data's own rules: each row once, exactly as in peace, one summary, nothing half."""
    story = story_of(job, prefix)
    assert job.state == "done", (job.state, job.problem)
    differing = differences(story, clean)
    assert not differing, (differing, story.counts, clean.counts, story.totals, clean.totals)
    rows = len(story.outcomes)
    parts = sum(count for name, count in story.counts.items() if name != "rows")
    assert rows == story.counts["rows"] == parts, (rows, story.counts)
    work = work_of(job)
    assert (work.state, work.done) == ("done", rows), (work.state, work.done, rows)
    mails = Mail.objects.filter(job=work).count()
    assert mails == 1, mails
    broken = violations()
    assert not broken, broken


UNDER_WAY = (Import.State.UPLOADED, Import.State.PLANNING, Import.State.APPLYING)


def has_ended(job: Import) -> bool:
    job.refresh_from_db()
    return job.state not in UNDER_WAY


def have_ended(jobs: Sequence[Import]) -> bool:
    return not Import.objects.filter(pk__in=[job.pk for job in jobs], state__in=UNDER_WAY).exists()


def work_of(job: Import) -> Job:
    """The import's newest job as it is now."""
    job.refresh_from_db()
    return Job.objects.get(pk=job.job_id)
