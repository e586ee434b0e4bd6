"""What Celery workers are woken for. Arguments are ids only; every task may run twice or never without harm."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import DatabaseError

from cdp import audit, jobs, webhooks
from cdp.actors import Actor

log = logging.getLogger(__name__)


@shared_task
def run_job(job_id: int) -> None:
    """Work on the job for one slice, then pass it on."""
    if jobs.run(job_id):
        jobs.wake(job_id)


@shared_task
def sweep_jobs() -> None:
    """Wake what is due and held by nobody."""
    if woken := jobs.sweep():
        log.info("woke %d jobs", woken)


@shared_task
def seal_audit() -> None:
    """Chain new rows of the audit log, at most a minute's worth of work."""
    for _ in range(10):
        if audit.seal() == 0:
            return


@shared_task
def deliver_webhooks() -> None:
    webhooks.deliver_due()


@shared_task
def take_over_visits() -> None:
    """When people were last active, as the door noted it."""
    from profiles.tracking.ingest import last_seen

    last_seen.work_off()


@shared_task
def compare_changed() -> None:
    """Compare anew whoever changed. Ten seconds apart, so nobody waits a minute."""
    from profiles.duplicates.finding import match_queue

    match_queue.work_off()


@shared_task
def scan_duplicates() -> None:
    """Compare everybody once a day: how rare names are and what too many share changes with everybody."""
    from profiles.duplicates.finding.full_scan import start_scan
    from profiles.models import Profile

    if Profile.objects.live().exists():
        start_scan(actor=Actor.system())


@shared_task
def fit_duplicate_line() -> None:
    """Learn from what people decided how likely a score is."""
    from profiles.duplicates.review import fit_calibration

    if line := fit_calibration.refit():
        log.info("line fitted", extra={"slope": line.slope, "offset": line.offset, "count": line.decisions})


@shared_task
def count_sources() -> None:
    """What sources sent since the last time, into the scorecard's figures."""
    from profiles.quality import hourly_counts

    hourly_counts.count_new()


@shared_task
def watch_sources() -> None:
    """Raise the alarm where a source began to send something else."""
    from profiles.quality import alarms

    for raised in alarms.watch():
        log.warning("a source changed", extra={"source": raised.source_id, "kind": raised.signal})


@shared_task
def send_duplicate_report() -> None:
    """The weekly report; asked every quarter of an hour, sent once a week."""
    from profiles.quality import weekly_report

    weekly_report.send_due()


@shared_task
def merge_certain_pairs() -> None:
    """Start what the rule for certain pairs allows this hour; nothing while it is off."""
    from profiles.duplicates.merge_certain import merge_certain

    if batch := merge_certain():
        log.info("merging certain pairs", extra={"batch": batch.pk, "pairs": batch.size})


@shared_task
def send_queued_mail() -> None:
    from cdp import mail

    mail.send_queued()


@shared_task
def expire() -> None:
    """Forget what is past its time. Each kind on its own: one that fails does not keep the others."""
    from cdp.api.idempotency import expire_idempotency_keys
    from imports.retention import expire_imports
    from profiles.bulk.exports import forget_exports
    from profiles.quality.hourly_counts import forget_hours
    from profiles.tracking.rejected.retention import forget_receipts

    forgets = (
        expire_idempotency_keys,
        expire_imports,
        forget_exports,
        forget_receipts,
        forget_hours,
        webhooks.forget_old,
    )
    for forget in forgets:
        try:
            count = forget()
        except DatabaseError:
            log.exception("%s failed, will be tried again", forget.__name__)
        else:
            log.info("expired", extra={"kind": forget.__name__, "count": count})
