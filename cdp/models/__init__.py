"""The platform's own tables: users and keys, jobs and workers, audit log, mail and webhooks."""

from cdp.models.access import ApiKey, ApiKeyUse, IdempotencyKey, LoginSession, RateWindow, User
from cdp.models.audit import AuditEntry
from cdp.models.job import Job
from cdp.models.look import Look
from cdp.models.mail import Mail
from cdp.models.webhook import Delivery, OutboxMessage, Webhook
from cdp.models.worker import Worker

__all__ = [
    "ApiKey",
    "ApiKeyUse",
    "AuditEntry",
    "Delivery",
    "IdempotencyKey",
    "Job",
    "LoginSession",
    "Look",
    "Mail",
    "OutboxMessage",
    "RateWindow",
    "User",
    "Webhook",
    "Worker",
]
