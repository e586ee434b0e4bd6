"""Whether this installation can do its work, for load balancers, people and Prometheus."""

import json
import logging
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe
from kombu.exceptions import OperationalError as BrokerError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector

from cdp import metrics
from cdp.celery import app
from cdp.middleware import RETRY_SECONDS
from cdp.models import Job, Mail, Worker

log = logging.getLogger("cdp.health")

_BROKER_ERRORS: tuple[type[BaseException], ...] = (
    OSError,
    BrokerError,
    *app.connection_for_write().connection_errors,
)
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
    """200 when people can work and jobs will run; otherwise 503 naming each part that fails."""
    checks = readiness()
    ready = all(state == "ok" for state in checks.values())
    response = JsonResponse(
        {"status": "ok" if ready else "failing", "checks": checks}, status=200 if ready else 503
    )
    if not ready:
        response["Retry-After"] = str(RETRY_SECONDS)
    return response


def readiness() -> dict[str, str]:
    """Each part with "ok" or a sentence on what is wrong. At most three queries and one broker connection."""
    database = _database()
    if database != "ok":
        unknown = "unknown while the database does not answer"
        return {"database": database, "migrations": unknown, "broker": _broker(), "worker": unknown}
    migrations = _migrations()
    worker = _worker() if migrations == "ok" else "unknown until the migrations are applied"
    return {"database": database, "migrations": migrations, "broker": _broker(), "worker": worker}


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        log.error("database does not answer: %s", error)
        return "does not answer; is DATABASE_URL right and PostgreSQL running, with connections to spare?"
    return "ok"


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    return "ok" if not missing else f"{missing} to apply; run manage.py migrate"


def _broker() -> str:
    """Connects anew, since a pooled connection notices too late that its broker is gone."""
    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=2)
            broker.default_channel  # noqa: B018  (Redis is first spoken to here)
    except _BROKER_ERRORS as error:
        log.error("broker does not answer: %s", type(error).__name__)
        return "does not answer; is CELERY_BROKER_URL right and the broker running?"
    return "ok"


def _worker() -> str:
    if Worker.objects.live().exists():
        return "ok"
    return f"none heard of for {Worker.SILENCE.seconds} s; start one with celery -A cdp.celery worker"


# --- figures -----------------------------------------------------------------------------------------
class DatabaseFigures(Collector):
    """Gauges read from the database at the moment of asking; none while it does not answer."""

    def collect(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("cdp_jobs", "Jobs by kind and state.", labels=["kind", "state"])
        mails = GaugeMetricFamily("cdp_mails", "Mails by state.", labels=["state"])
        workers = GaugeMetricFamily("cdp_workers", "Live workers.")
        try:
            for kind, state, number in (
                Job.objects.order_by().values_list("kind", "state").annotate(Count("id"))
            ):
                jobs.add_metric([kind, state], number)
            for state, number in Mail.objects.order_by().values_list("state").annotate(Count("id")):
                mails.add_metric([state], number)
            workers.add_metric([], Worker.objects.live().count())
        except DatabaseError as error:
            log.error("no figures from the database: %s", error)
            return
        yield from (jobs, mails, workers)

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
