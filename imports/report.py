"""What an import will do or did: counts, warnings, the rows that stayed out, the summary by mail (X7)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from cdp import audit, webhooks
from cdp.job_steps import actor_of
from cdp.mail import queue_mail
from cdp.models import Job
from imports.models import Import, Row
from imports.shared_identifiers import suggest_rivals
from profiles.models import IdentifierType

OUTCOMES = tuple(Row.Outcome.values)
# Rows a person has to look at; they are what rejected.csv holds.
REJECTED = (Row.Outcome.FAILED, Row.Outcome.CONFLICT, Row.Outcome.HELD)


def count_rows(job: Import, *, upto: int | None = None) -> dict[str, int]:
    """Rows by outcome; their sum is ``rows``. With ``upto``, planned rows behind that line are *not_applied*."""
    outcome = "outcome"
    if upto is not None:
        outcome = f"CASE WHEN line > {int(upto)} AND outcome IN ('created', 'updated') THEN 'not_applied' ELSE outcome END"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {outcome} AS said, count(*) FROM {job.partition} GROUP BY 1")
        found = dict(cursor.fetchall())
    counts = {"rows": sum(found.values()), **{name: found.get(name, 0) for name in OUTCOMES}}
    if "not_applied" in found:
        counts["not_applied"] = found["not_applied"]
    return counts


def plan_warnings(job: Import) -> list[dict[str, Any]]:
    """What people should know before they apply: advice about the mapping, and what the rows showed."""
    from imports.upload import advice_for

    found = [warning for warning in advice_for(job) if warning["code"] != "no_identifier"]
    found += [warning for warning in (_anonymous(job), _clashes(job)) if warning]
    return found + _notices(job)


def _anonymous(job: Import) -> dict[str, Any] | None:
    """X4: rows without any identifier make people whom nothing leads back to."""
    unique = list(IdentifierType.objects.filter(is_unique=True).values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*), min(line) FROM {job.partition} r WHERE outcome = 'created' AND (
                keys IS NULL OR NOT EXISTS (
                    SELECT FROM unnest(types, keys, clashes) AS u (type_id, value, clash)
                    WHERE type_id = ANY(%s) AND value IS NOT NULL AND clash IS NULL))
            """,
            [unique],
        )
        count, line = cursor.fetchone()
    if not count:
        return None
    rows = "1 row has" if count == 1 else f"{count:,} rows have"
    message = f"{rows} no identifier: new people are made, and importing the file again makes them again."
    return {"code": "no_identifier", "column": None, "message": message, "count": count, "line": line}


def _clashes(job: Import) -> dict[str, Any] | None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*), min(line) FROM {job.partition} WHERE clashes IS NOT NULL"
            " AND outcome IN ('created', 'updated', 'unchanged') AND EXISTS ("
            "SELECT FROM unnest(clashes) AS c WHERE c <> 0 AND c IS DISTINCT FROM profile_id)"
        )
        count, line = cursor.fetchone()
    if not count:
        return None
    rows = "1 row has" if count == 1 else f"{count:,} rows have"
    message = (
        f"{rows} identifiers of more than one person, the first in line {line:,}. Each row goes to the person of its"
        " strongest identifier; the other value is kept there for contact only, and the pair is suggested as a"
        " duplicate."
    )
    return {"code": "two_people", "column": None, "message": message, "count": count, "line": line}


def _notices(job: Import) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT n.e ->> 'column', n.e ->> 'message', count(*), min(r.line)
            FROM {job.partition} r, jsonb_array_elements(r.notices) AS n (e)
            WHERE r.notices IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20
            """
        )
        return [
            {"code": "value", "column": column, "message": message, "count": count, "line": line}
            for column, message, count, line in cursor
        ]


def problems(job: Import, *, limit: int = 100, after: int = 0) -> list[dict[str, Any]]:
    """What is wrong with rejected rows, one entry per cell: line, column, value, message, outcome."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT r.line, r.outcome, p.e ->> 'column', p.e ->> 'value', p.e ->> 'message'
            FROM (
                SELECT line, outcome, problems FROM {job.partition}
                WHERE line > %s AND outcome IN ('failed', 'conflict', 'held') ORDER BY line LIMIT %s
            ) r, jsonb_array_elements(coalesce(r.problems, '[]')) WITH ORDINALITY AS p (e, n)
            ORDER BY r.line, p.n LIMIT %s
            """,
            [after, limit, limit],
        )
        return [
            {"line": line, "column": column, "value": value, "message": message, "outcome": outcome}
            for line, outcome, column, value, message in cursor
        ]


# --- The end -------------------------------------------------------------------------------------------


def finish(job: Job) -> None:
    """Close the import of an apply job that ended: counts, state, suggested pairs, mail, webhook. Idempotent."""
    done = Import.objects.select_for_update(no_key=True).filter(pk=job.params["import"]).first()
    if done is None or done.state != Import.State.APPLYING:
        return
    states = {Job.State.DONE: Import.State.DONE, Job.State.CANCELED: Import.State.CANCELED}
    done.state = states.get(Job.State(job.state), Import.State.FAILED)
    upto = None if done.state == Import.State.DONE else job.cursor.get("line", 0)
    done.counts = count_rows(done, upto=upto)
    suggest_rivals(done, upto=upto)
    done.problem = job.problem
    if done.state == Import.State.FAILED and upto is not None:
        done.problem = f"{job.problem} Everything up to line {upto:,} is done.".strip()
    done.finished_at = timezone.now()
    done.save(update_fields=["state", "counts", "problem", "finished_at"])
    Job.objects.filter(pk=job.pk).update(result=done.counts)
    if done.counts["created"] + done.counts["updated"] > 20_000:
        _refresh_statistics()
    audit.record("import.finish", actor=actor_of(job), subject=f"import:{done.pk}", detail=done.counts)
    webhooks.publish(
        "import.finished",
        profile_id=None,
        payload={"import_id": done.pk, "state": done.state, "counts": done.counts},
    )
    mail_summary(done, job)


def _refresh_statistics() -> None:
    """The planner should know of the new people before the next search does."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE profiles_profile, profiles_identifier, profiles_change, profiles_profiletag")


def report_url(job: Import) -> str:
    try:
        path = reverse("admin:imports_import_change", args=[job.pk])
    except NoReverseMatch:  # a process without the admin
        path = f"/admin/imports/import/{job.pk}/change/"
    return settings.CDP_URL.rstrip("/") + path


def recipients(job: Import) -> list[str]:
    """Whoever uploaded it; for an API key, whoever made the key."""
    person = job.user or (job.key.created_by if job.key else None)
    return [person.email] if person is not None and person.email else []


SENTENCES = {
    "created": "new people",
    "updated": "updated with new information",
    "unchanged": "already fully present",
    "duplicate_in_file": "the same person again in the file, merged into the first",
    "failed": "rejected",
    "conflict": "left out: they lead to two people",
    "held": "held: the person changed after the plan",
    "suppressed": "erased people, kept out",
    "not_applied": "not done",
}


def mail_summary(job: Import, work: Job) -> None:
    """Queue the summary mail in the transaction that ends the import."""
    to = recipients(job)
    if not to:
        return
    lines = [(job.counts[name], text) for name, text in SENTENCES.items() if job.counts.get(name)]
    context = {
        "job": job,
        "lines": lines,
        "imported": job.counts["created"] + job.counts["updated"],
        "problems": problems(job, limit=20),
        "rejected": sum(job.counts[name] for name in REJECTED),
        "url": report_url(job),
        "resumes": work.resumes,
    }
    subject = f"Import of {job.name}: {job.state_label.lower()}, {job.counts['rows']:,} rows"
    queue_mail(
        to=to,
        subject=subject[:300],
        text=render_to_string("email/import_summary.txt", context),
        html=render_to_string("email/import_summary.html", context),
        job=work,
    )


def mail_milestone(job: Import, before: int, after: int) -> None:
    """One mail per CDP_IMPORT_MAIL_EVERY people, in the transaction of the chunk that got there (X7)."""
    every = settings.CDP_IMPORT_MAIL_EVERY
    if not every or before // every == after // every:
        return
    to = recipients(job)
    if not to:
        return
    for number in range(before // every + 1, after // every + 1):
        text = f"{number * every:,} people of {job.name} are imported.\n\n{report_url(job)}\n"
        queue_mail(
            to=to, subject=f"Import of {job.name}: {number * every:,} people"[:300], text=text, job=job.job
        )
