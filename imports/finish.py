"""An apply job that ended → the import closed: final counts, suggested duplicate pairs, summary mail, webhook."""

from __future__ import annotations

from django.conf import settings
from django.db import connection
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from cdp import audit, webhooks
from cdp.job_steps import actor_of
from cdp.mail import queue_mail
from cdp.models import Job
from cdp.plurals import counted
from imports.cell_counts import count_cells
from imports.cells import cell_account, cells_sentence
from imports.models import Import
from imports.report import REJECTED, count_rows, row_problems
from profiles.pairs.suggestions import ON_CONFLICT

# From so many written profiles on the planner's statistics are refreshed.
ANALYZE_FROM = 20_000


def finish_import(job: Job) -> None:
    """Close the import of an apply job, however it ended. Idempotent; runs in the transaction that ends the job."""
    import_ = Import.objects.select_for_update(no_key=True).filter(pk=job.params["import"]).first()
    if import_ is None or import_.state != Import.State.APPLYING:
        return
    states = {Job.State.DONE: Import.State.DONE, Job.State.CANCELED: Import.State.CANCELED}
    import_.state = states.get(Job.State(job.state), Import.State.FAILED)
    upto = None if import_.state == Import.State.DONE else job.cursor.get("line", 0)
    import_.counts = count_rows(import_, upto=upto)
    import_.cells = count_cells(import_, upto=upto)
    suggest_duplicates(import_, upto=upto)
    import_.problem = job.problem
    if import_.state == Import.State.FAILED and upto is not None:
        import_.problem = f"{job.problem} Everything up to line {upto:,} is done.".strip()
    import_.finished_at = timezone.now()
    import_.save(update_fields=["state", "counts", "cells", "problem", "finished_at"])
    Job.objects.filter(pk=job.pk).update(result=import_.counts)
    if import_.counts["created"] + import_.counts["updated"] > ANALYZE_FROM:
        _refresh_statistics()
    audit.record("import.finish", actor=actor_of(job), subject=f"import:{import_.pk}", detail=import_.counts)
    webhooks.publish(
        "import.finished",
        profile_id=None,
        payload={"import_id": import_.pk, "state": import_.state, "counts": import_.counts},
    )
    _mail_summary(import_, job)


def _refresh_statistics() -> None:
    """The planner should know of the new profiles before the next search."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE profiles_profile, profiles_identifier, profiles_change, profiles_profiletag")


def suggest_duplicates(import_: Import, *, upto: int | None = None) -> None:
    """Suggest the pairs of profiles that written rows (up to a line) gave the same identifier.

    At the end and not chunk by chunk: the row that shares a value may be applied long before the row that gets
    it. Safe to repeat. A pair with a verdict keeps it; profiles deleted or merged meanwhile are left alone. One pass
    over the rows and, where any of them shares an identifier, over the import's journal.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH sharing AS MATERIALIZED (
                SELECT r.line, r.profile_id, u.type_id, u.value
                FROM {import_.partition} r
                CROSS JOIN unnest(r.types, r.keys, r.clashes) AS u (type_id, value, clash)
                WHERE r.clashes IS NOT NULL AND r.outcome IN ('created', 'updated')
                  AND (%(upto)s::bigint IS NULL OR r.line <= %(upto)s)
                  AND u.value IS NOT NULL AND u.clash <> 0 AND u.clash IS DISTINCT FROM r.profile_id
            ), written AS MATERIALIZED (
                SELECT s.*, coalesce(s.profile_id, c.profile_id) AS member_id
                FROM sharing s LEFT JOIN profiles_change c ON s.profile_id IS NULL
                    AND c.cause = 'import' AND c.cause_id = %(import)s AND c.kind = 'created' AND c.line = s.line
            )
            INSERT INTO profiles_duplicatepair AS d (a_id, b_id, verdict, reasons)
            SELECT DISTINCT ON (1, 2) least(m.canonical_id, p.canonical_id), greatest(m.canonical_id, p.canonical_id),
                'open', jsonb_build_array(jsonb_build_object(
                    'code', 'shared_identifier', 'type', t.name, 'value', w.value, 'source', 'import',
                    'import', %(import)s::bigint, 'line', w.line,
                    'text', 'Both came with the ' || t.name || ' ' || w.value || '.'))
            FROM written w
            JOIN profiles_identifiertype t ON t.id = w.type_id
            JOIN profiles_profile m ON m.id = w.member_id
            JOIN profiles_profile root ON root.id = m.canonical_id AND root.status = 'live'
            JOIN profiles_identifier i ON i.type_id = w.type_id AND i.value = w.value AND i.resolves
            JOIN profiles_profile p ON p.id = i.profile_id
            WHERE p.canonical_id <> m.canonical_id
            ORDER BY 1, 2, w.line {ON_CONFLICT}
            """,
            {"import": import_.pk, "upto": upto},
        )


# --- Mail ---------------------------------------------------------------------------------------------

# The summary's description of each outcome.
DESCRIPTIONS = {
    "created": "new people",
    "updated": "updated with new information",
    "unchanged": "kept as they were",
    "duplicate_in_file": "the same person again in the file, combined with their first row",
    "failed": "rejected",
    "conflict": "left out: the row matches two people",
    "held": "left out: the person changed after the plan",
    "suppressed": "erased people, left out",
    "skipped": "empty rows and lines above the header, skipped",
    "not_applied": "not imported",
}


def report_url(import_: Import) -> str:
    try:
        path = reverse("admin:imports_import_change", args=[import_.pk])
    except NoReverseMatch:  # a process without the admin
        path = f"/admin/imports/import/{import_.pk}/change/"
    return settings.CDP_URL.rstrip("/") + path


def recipients(import_: Import) -> list[str]:
    """Whoever uploaded it; for an API key, whoever owns the key. Nobody whose login is deactivated."""
    user = import_.user or (import_.key.owner if import_.key else None)
    return [user.email] if user is not None and user.is_active and user.email else []


def _mail_summary(import_: Import, job: Job) -> None:
    """Queue the summary mail in the transaction that ends the import."""
    to = recipients(import_)
    if not to:
        return
    counts = import_.counts
    context = {
        "import": import_,
        "outcomes": [(counts[name], text) for name, text in DESCRIPTIONS.items() if counts.get(name)],
        "imported": counts["created"] + counts["updated"],
        "cells": cells_sentence(account) if (account := cell_account(import_)) else "",
        "problems": row_problems(import_, limit=20),
        "rejected": sum(counts[name] for name in REJECTED),
        "url": report_url(import_),
        "resumes": job.resumes,
    }
    subject = f"Import of {import_.name}: {import_.state_label.lower()}, {counted(counts['rows'], 'rows')}"
    queue_mail(
        to=to,
        subject=subject[:300],
        text=render_to_string("email/import_summary.txt", context),
        html=render_to_string("email/import_summary.html", context),
        job=job,
    )


def mail_milestones(import_: Import, before: int, after: int) -> None:
    """Queue one mail per CDP_IMPORT_MAIL_EVERY profiles, in the transaction of the chunk that reached it."""
    every = settings.CDP_IMPORT_MAIL_EVERY
    if not every or before // every == after // every:
        return
    to = recipients(import_)
    if not to:
        return
    for number in range(before // every + 1, after // every + 1):
        people = counted(number * every, "people")
        text = f"{people} of {import_.name} {'is' if number * every == 1 else 'are'} imported.\n\n{report_url(import_)}\n"
        subject = f"Import of {import_.name}: {people}"
        queue_mail(to=to, subject=subject[:300], text=text, job=import_.job)
