"""The platform's addresses under /api/, included last: what no app answers is a 404 as problem+json."""

from django.urls import URLPattern, re_path

from cdp.api import audit, jobs, webhooks
from cdp.api.docs import DocsView, SchemaView
from cdp.api.routes import both
from cdp.api.views import NothingHere

_JOB = "v1/jobs/<int:pk>"
_WEBHOOK = "v1/webhooks/<int:pk>"

urlpatterns: list[URLPattern] = [
    *both("v1/jobs", jobs.JobList, "api-jobs"),
    *both(_JOB, jobs.JobDetail, "api-job"),
    *both(f"{_JOB}/pause", jobs.Pause, "api-job-pause"),
    *both(f"{_JOB}/resume", jobs.Resume, "api-job-resume"),
    *both(f"{_JOB}/cancel", jobs.Cancel, "api-job-cancel"),
    *both("v1/audit", audit.AuditLog, "api-audit"),
    *both("v1/webhooks", webhooks.WebhookList, "api-webhooks"),
    *both(_WEBHOOK, webhooks.WebhookDetail, "api-webhook"),
    *both(f"{_WEBHOOK}/test", webhooks.WebhookTest, "api-webhook-test"),
    *both(f"{_WEBHOOK}/deliveries", webhooks.DeliveryList, "api-deliveries"),
    *both(f"{_WEBHOOK}/deliveries/<int:delivery_id>/replay", webhooks.DeliveryReplay, "api-delivery-replay"),
    *both("v1/schema", SchemaView, "api-schema"),
    *both("v1/docs", DocsView, "api-docs"),
    re_path(r"^", NothingHere.as_view(), name="api-nothing"),
]
