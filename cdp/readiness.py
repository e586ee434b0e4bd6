"""Database, migrations, broker and workers → each part with "ok" or a sentence on what is wrong, within two seconds."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future

from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import OperationalError as BrokerError

from cdp.celery import app
from cdp.deadline import Question
from cdp.models import Worker
from cdp.queues import QUEUES

log = logging.getLogger("cdp.health")

# For all parts together. A server that is frozen, or whose disk hangs, accepts a connection and then says nothing.
SECONDS = 1.5
_BROKER_ERRORS: tuple[type[BaseException], ...] = (
    OSError,
    BrokerError,
    *app.connection_for_write().connection_errors,
)
_UNKNOWN = "unknown while the database does not answer"


def readiness() -> dict[str, str]:
    """Each part with "ok" or a sentence. Four queries and one broker connection, in threads of their own."""
    deadline = time.monotonic() + SECONDS
    database, broker = _database_question.begin(), _broker_question.begin()
    try:
        checks = database.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        log.error("database does not answer in time")
        checks = {
            "database": f"does not answer within {SECONDS} s; is PostgreSQL frozen, its disk hanging, or every "
            "connection in use?",
            "migrations": _UNKNOWN,
            "worker": _UNKNOWN,
        }
    return {
        "database": checks["database"],
        "migrations": checks["migrations"],
        "broker": _broker_answer(broker, deadline),
        "worker": checks["worker"],
    }


def _broker_answer(broker: Future[str], deadline: float) -> str:
    try:
        return broker.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        log.error("broker does not answer in time")
        return f"does not answer within {SECONDS} s; is the broker frozen or its disk hanging?"


def database_checks() -> dict[str, str]:
    """What the database knows: itself, migrations, workers. At most four queries; hangs with the database."""
    database = _database()
    if database != "ok":
        return {"database": database, "migrations": _UNKNOWN, "worker": _UNKNOWN}
    migrations = _migrations()
    worker = _worker() if migrations == "ok" else "unknown until the migrations are applied"
    return {"database": database, "migrations": migrations, "worker": worker}


def _ask_database() -> dict[str, str]:
    try:
        return database_checks()
    finally:
        connections.close_all()  # this thread's own


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


def _worker() -> str:
    """Each queue needs somebody: without a worker for people's jobs an import never begins."""
    live = list(Worker.objects.live().values_list("queues", flat=True))
    if not live:
        return f"none heard of for {Worker.SILENCE.seconds} s; start one with celery -A cdp.celery worker"
    served = {queue for queues in live for queue in queues}
    for queue, purpose in QUEUES.items():
        if queue not in served:
            return f"none takes {purpose}; start one with celery -A cdp.celery worker --queues {queue}"
    return "ok"


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


_database_question, _broker_question = Question(_ask_database), Question(lambda: _broker())
