"""Celery's signals → a row that says a worker lives, jobs left behind enqueued at its start, a request id per task.

The row is fresh as long as the main process lives, not only while it has work. A thread writes it, so that a pool busy
with long chunks does not look dead, and a database that is away does not delay the worker.
"""

import logging
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from celery.signals import (
    task_postrun,
    task_prerun,
    worker_process_init,
    worker_ready,
    worker_shutdown,
)
from django.db import DatabaseError, connection
from django.db.models.functions import Now

from cdp.gc_tuning import settle
from cdp.logs import request_id
from cdp.queues import QUEUES

log = logging.getLogger("cdp.worker")

EVERY_SECONDS = 10.0
FORGOTTEN_AFTER = timedelta(days=1)


def enqueue_left_over() -> None:
    """Jobs whose worker died while nobody was there to notice, beat included."""
    from cdp import jobs

    jobs.sweep()


def beat(name: str, queues: Sequence[str] = tuple(QUEUES)) -> None:
    """Write that the worker lives and which queues it takes from, and delete rows of those killed long ago."""
    from cdp.models import Worker

    now = {"seen_at": Now(), "queues": list(queues)}
    Worker.objects.update_or_create(name=name, defaults=now, create_defaults={"started_at": Now(), **now})
    Worker.objects.filter(seen_at__lt=Now() - FORGOTTEN_AFTER).delete()


class Heart(threading.Thread):
    """Enqueues jobs left behind, beats until stopped, then deletes the worker's row."""

    def __init__(self, name: str, queues: Sequence[str] = tuple(QUEUES)) -> None:
        super().__init__(name="heart", daemon=True)
        self.worker, self.queues = name, queues
        self.stopping = threading.Event()

    def run(self) -> None:
        self._quietly(enqueue_left_over)
        stopped = False
        while not stopped:
            self._quietly(lambda: beat(self.worker, self.queues))
            stopped = self.stopping.wait(EVERY_SECONDS)
        self._quietly(self._delete_row)

    def _delete_row(self) -> None:
        from cdp.models import Worker

        Worker.objects.filter(name=self.worker).delete()

    def _quietly(self, work: Any) -> None:
        try:
            work()
        except DatabaseError as error:
            log.warning("no sign of life to the database: %s", type(error).__name__)
        finally:
            connection.close()  # needed for milliseconds, not between beats

    def stop(self) -> None:
        self.stopping.set()
        self.join(timeout=5)


@worker_process_init.connect
def begin_to_work(**kwargs: Any) -> None:
    settle()


_hearts: list[Heart] = []


@worker_ready.connect
def start_heart(sender: Any, **kwargs: Any) -> None:
    heart = Heart(sender.hostname, sorted(sender.app.amqp.queues.consume_from))
    _hearts.append(heart)
    heart.start()


@worker_shutdown.connect
def stop_heart(**kwargs: Any) -> None:
    while _hearts:
        _hearts.pop().stop()


@task_prerun.connect
def name_task(task_id: str, **kwargs: Any) -> None:
    request_id.set(task_id)


@task_postrun.connect
def unname_task(**kwargs: Any) -> None:
    request_id.set("")
