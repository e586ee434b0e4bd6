"""The kind of web process: threads, and connections spread evenly over the processes."""

from __future__ import annotations

import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

# Long against the microseconds in which an idle process is awake, short against a request.
_PATIENCE, _AT_MOST = 0.0002, 0.001


class EvenWorker(ThreadWorker):
    """Who holds connections lets another process take the next one.

    All processes wake when somebody connects, and the first takes it. Connections that are kept alive stay where they
    are, so without this one process may end up with all of a few busy clients while another core idles.
    """

    def accept(self, listener: Any) -> None:
        time.sleep(min(_AT_MOST, _PATIENCE * self.nr_conns))
        super().accept(listener)
