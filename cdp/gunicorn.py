"""How the web processes run, here and in production: `gunicorn -c python:cdp.gunicorn cdp.wsgi`.

Two or more processes with a few threads each (cdp.web_worker); a process is replaced after some hundred thousand requests.
"""

import os
from pathlib import Path
from typing import Any

from cdp import metrics_files
from cdp.gc_tuning import settle

_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

# The worker's class is loaded before the application is.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cdp.settings")

bind = os.environ.get("BIND", "127.0.0.1:8000")
worker_class = "cdp.web_worker.BufferingWorker"
workers = int(os.environ.get("WEB_PROCESSES") or max(2, min(_CORES, 8)))
threads = int(os.environ.get("WEB_THREADS") or 4)
# Against what libraries may leak. While its successor starts, a second and more beside an import, the others answer
# alone: after 10,000 requests each, that was twice a minute under load, and the slowest calls took 0.7 s.
max_requests = 500_000
max_requests_jitter = 250_000
timeout = 120
graceful_timeout = 8
keepalive = 30
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  (a heartbeat file, no data)
control_socket_disable = True
logger_class = "cdp.gunicorn_log.DiscreetLogger"
# One connection per thread; a request beyond that waits up to 5 s and then gets a 503 (cdp.settings).
os.environ.setdefault("DB_POOL_SIZE", str(threads))


def post_fork(server: Any, worker: Any) -> None:
    metrics_files.reserve(worker.pid)


def child_exit(server: Any, worker: Any) -> None:
    metrics_files.give_back(worker.pid)


def post_worker_init(worker: Any) -> None:
    settle()
