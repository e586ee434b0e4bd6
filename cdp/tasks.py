"""The platform's Celery tasks and when beat runs them. Arguments are ids only; running twice or never does no harm."""

from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings

from cdp import audit_chain, jobs, mail, retention, webhooks
from cdp.models import Job

log = logging.getLogger(__name__)


@shared_task
def run_job(job_id: int) -> None:
    """Work on the job for one slice, then pass it on."""
    if jobs.run(job_id):
        jobs.enqueue(Job.objects.only("kind", "is_system").get(pk=job_id))


@shared_task
def sweep_jobs() -> None:
    """Enqueue the jobs that are due and leased by no worker."""
    if count := jobs.sweep():
        log.info("enqueued %d jobs", count)


@shared_task
def seal_audit() -> None:
    """Chain new rows of the audit log, at most a minute's worth of work."""
    for _ in range(10):
        if audit_chain.seal() == 0:
            return


@shared_task
def deliver_webhooks() -> None:
    webhooks.deliver_due()


@shared_task
def send_queued_mail() -> None:
    mail.send_queued()


@shared_task
def expire() -> None:
    """Delete what is past its time."""
    retention.expire()


BEAT_SCHEDULE = {
    "enqueue stalled jobs": {"task": "cdp.tasks.sweep_jobs", "schedule": settings.CDP_JOB_SWEEP_SECONDS},
    "seal the audit log": {"task": "cdp.tasks.seal_audit", "schedule": 60.0},
    "delete what is past its time": {"task": "cdp.tasks.expire", "schedule": 600.0},
    "deliver webhooks": {"task": "cdp.tasks.deliver_webhooks", "schedule": 10.0},
    "send queued mail": {"task": "cdp.tasks.send_queued_mail", "schedule": 10.0},
}
