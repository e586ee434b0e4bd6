"""Mails, jobs, workers and counted minutes past their time → deleted; and the platform's rules of retention.

All times are the database's, so that no process with a wrong clock deletes too early.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from cdp.api.throttling import forget_windows
from cdp.models import Job, Mail, Worker
from cdp.retention import Rule, kept_with

# Rows deleted in one go; what remains goes ten minutes later.
CHUNK = 5_000


def forget_mails() -> int:
    """Remove mails that were sent, given up or kept in the local mailbox CDP_MAIL_KEEP_DAYS ago; how many.

    What was written to a person stays on their card.
    """
    old = Mail.objects.exclude(state=Mail.State.QUEUED).filter(
        created_at__lt=Now() - timedelta(days=settings.CDP_MAIL_KEEP_DAYS)
    )
    ids = list(old.order_by("pk").values_list("pk", flat=True)[:CHUNK])
    Mail.objects.filter(pk__in=ids).delete()
    return len(ids)


def forget_jobs() -> int:
    """Remove jobs that ended CDP_JOB_KEEP_DAYS ago; how many. What they did is in the history and the audit log."""
    old = Job.objects.exclude(state__in=Job.OPEN).filter(
        finished_at__lt=Now() - timedelta(days=settings.CDP_JOB_KEEP_DAYS)
    )
    ids = list(old.order_by("pk").values_list("pk", flat=True)[:CHUNK])
    Job.objects.filter(pk__in=ids).delete()
    return len(ids)


def forget_workers() -> int:
    """Remove workers that were killed and have been silent for a day; how many."""
    return Worker.objects.filter(seen_at__lt=Now() - timedelta(days=1)).delete()[0]


EXPIRY = {
    "mails": forget_mails,
    "jobs": forget_jobs,
    "workers": forget_workers,
    "counted minutes": forget_windows,
}
RULES = {
    "cdp.Mail": Rule(
        "Deleted {days} days after they were queued; one that still waits to be sent is not.",
        by="mails",
        setting="CDP_MAIL_KEEP_DAYS",
    ),
    "cdp.Job": Rule(
        "Deleted {days} days after they ended. What they did is in people's history and in the audit log.",
        by="jobs",
        setting="CDP_JOB_KEEP_DAYS",
    ),
    "cdp.Worker": Rule("Deleted when they end; of one that was killed, a day later.", by="workers"),
    "cdp.RateWindow": Rule(
        "Deleted an hour after the caller's last call.", by="counted minutes", what="Counts of calls"
    ),
    "cdp.IdempotencyKey": Rule(
        "Deleted after 25 hours.", by="saved answers", what="Saved answers of Idempotency-Keys"
    ),
    "cdp.OutboxMessage": Rule(
        "Deleted after 30 days, unless a delivery still waits.",
        by="webhook messages",
        what="Messages to webhooks",
    ),
    "cdp.Delivery": Rule("Deleted with their message.", by="webhook messages", what="Deliveries to webhooks"),
    "cdp.LoginSession": Rule("Deleted when they ran out.", by="sessions", what="Sessions"),
    "cdp.Look": Rule("Deleted after {days} days.", by="looks", setting="CDP_LOOK_KEEP_DAYS", what="Looks"),
    "axes.AccessAttempt": Rule(
        "Deleted when they count towards no lock any more.", by="wrong passwords", what="Wrong passwords"
    ),
    **kept_with(
        "Empty: the audit log takes its place.",
        ("axes.AccessAttemptExpiration", "axes.AccessFailureLog", "axes.AccessLog"),
    ),
    "cdp.AuditEntry": Rule(
        "Kept: the proof of who did and looked at what. Each row is chained to the one before, so none can be taken out."
    ),
    "cdp.ApiKeyUse": Rule(
        "Kept with the API key: one row for each address it ever called.", what="Uses of API keys"
    ),
    "admin.LogEntry": Rule("Empty: the audit log takes its place.", what="Django's own log"),
    **kept_with("Kept: the history names who did something.", ("cdp.User", "cdp.ApiKey")),
    "otp_totp.TOTPDevice": Rule("Kept with the login.", what="Second factors"),
    "auth.Group": Rule("Kept until somebody deletes them.", what="Roles"),
    "cdp.Webhook": Rule("Kept until somebody deletes them."),
    **kept_with("Kept: part of the product.", ("auth.Permission", "contenttypes.ContentType")),
}
