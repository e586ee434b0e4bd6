"""The platform's addresses under /api/, included last: what no app answers is a 404 as problem+json."""

from typing import Any

from django.urls import re_path

from cdp.api import audit, jobs, retention, webhooks
from cdp.api.docs import DocsView, SchemaView
from cdp.api.routes import Router, both
from cdp.api.views import NothingHere

_JOB = "v1/jobs/<int:pk>"

router = Router()
router.register("v1/webhooks", webhooks.WebhookViewSet, "api-webhook")

urlpatterns: list[Any] = [
    *both("v1/jobs", jobs.JobList, "api-jobs"),
    *both(_JOB, jobs.JobDetail, "api-job"),
    *both(f"{_JOB}/pause", jobs.Pause, "api-job-pause"),
    *both(f"{_JOB}/resume", jobs.Resume, "api-job-resume"),
    *both(f"{_JOB}/cancel", jobs.Cancel, "api-job-cancel"),
    *both("v1/audit", audit.AuditLog, "api-audit"),
    *both("v1/retention", retention.RetentionRules, "api-retention"),
    *router.urls,
    *both("v1/schema", SchemaView, "api-schema"),
    *both("v1/docs", DocsView, "api-docs"),
    re_path(r"^", NothingHere.as_view(), name="api-nothing"),
]
