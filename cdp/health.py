"""Whether this installation can do its work, for load balancers, people and Prometheus."""

import json
import logging
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.db import DatabaseError, connections
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector

from cdp import metrics
from cdp.deadline import Question
from cdp.middleware import RETRY_SECONDS
from cdp.models import Job, Mail, Worker
from cdp.readiness import SECONDS, readiness

log = logging.getLogger("cdp.health")

REPORT_LIMIT = 16 * 1024
DIRECTIVES = frozenset(
    "base-uri child-src connect-src default-src font-src form-action frame-ancestors frame-src img-src "
    "manifest-src media-src object-src script-src script-src-attr script-src-elem style-src style-src-attr "
    "style-src-elem worker-src".split()
)


# --- is it up? ---------------------------------------------------------------------------------------
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers. Says nothing about anything else."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when people can work and jobs will run; otherwise 503 naming each part that fails. Within two seconds."""
    checks = readiness()
    ready = all(state == "ok" for state in checks.values())
    response = JsonResponse(
        {"status": "ok" if ready else "failing", "checks": checks}, status=200 if ready else 503
    )
    if not ready:
        response["Retry-After"] = str(RETRY_SECONDS)
    return response


# --- figures -----------------------------------------------------------------------------------------
def _read_figures() -> list[Metric]:
    """Gauges read from the database at the moment of asking; none where it does not answer."""
    jobs = GaugeMetricFamily("cdp_jobs", "Jobs by kind and state.", labels=["kind", "state"])
    mails = GaugeMetricFamily("cdp_mails", "Mails by state.", labels=["state"])
    workers = GaugeMetricFamily("cdp_workers", "Live workers.")
    try:
        for kind, state, number in Job.objects.order_by().values_list("kind", "state").annotate(Count("id")):
            jobs.add_metric([kind, state], number)
        for state, number in Mail.objects.order_by().values_list("state").annotate(Count("id")):
            mails.add_metric([state], number)
        workers.add_metric([], Worker.objects.live().count())
    except DatabaseError as error:
        log.error("no figures from the database: %s", error)
        return []
    finally:
        connections.close_all()  # this thread's own
    return [jobs, mails, workers]


_figures_question = Question(_read_figures)


class DatabaseFigures(Collector):
    """Gauges out of the database; none while it does not answer, or not in time."""

    def collect(self) -> Iterator[Metric]:
        try:
            yield from _figures_question.begin().result(SECONDS)
        except TimeoutError:
            log.error("no figures from the database in time")

    def describe(self) -> list[Metric]:
        return []


@require_safe
def metrics_page(request: HttpRequest) -> HttpResponse:
    """Everything in Prometheus' text format, summed over the web processes where there are several."""
    figures = CollectorRegistry()
    figures.register(DatabaseFigures())
    return HttpResponse(_process_figures() + generate_latest(figures), content_type=CONTENT_TYPE_LATEST)


def _process_figures() -> bytes:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    from prometheus_client.multiprocess import MultiProcessCollector

    shared = CollectorRegistry()
    MultiProcessCollector(shared)
    return generate_latest(shared)


# --- what browsers refused -----------------------------------------------------------------------------
@csrf_exempt
@require_POST
def csp_report(request: HttpRequest) -> HttpResponse:
    """Notes what a browser refused to load because of our content security policy.

    Anybody can post here, so a report is small, its fields are cut to what they may be, and the page's
    address is kept without its query.
    """
    if int(request.META.get("CONTENT_LENGTH") or 0) > REPORT_LIMIT:
        return HttpResponse(status=413)
    try:
        sent = json.loads(request.read(REPORT_LIMIT))
    except ValueError:
        return HttpResponse(status=400)
    report = sent.get("csp-report") if isinstance(sent, dict) else None
    if not isinstance(report, dict):
        return HttpResponse(status=400)
    directive = _directive(report)
    metrics.csp_reports.labels(directive).inc()
    log.warning(
        "content security policy violated",
        extra={
            "directive": directive,
            "page": _without_values(report.get("document-uri")),
            "blocked": _without_values(report.get("blocked-uri")),
        },
    )
    return HttpResponse(status=204)


def _directive(report: dict[str, object]) -> str:
    """The directive's name, one of a closed list since it becomes a label."""
    named = str(report.get("effective-directive") or report.get("violated-directive") or "").split()
    return named[0] if named and named[0] in DIRECTIVES else "other"


def _without_values(address: object) -> str:
    """Where it is, without what a path or query may say about a person."""
    parts = urlsplit(str(address or "")[:500])
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else parts.path[:40]
