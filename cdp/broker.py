"""Redis as a broker that may be away, restart, fill up or refuse to write, without the worker noticing more than a pause.

Celery's messages only wake (cdp/jobs.py), so none is worth what kombu does to keep it: a message that cannot
be acknowledged takes one of the worker's few slots for ever, and one that cannot be put back ends the worker.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kombu.transport import virtual
from kombu.transport.redis import Channel, QoS, Transport
from redis.exceptions import ResponseError


class PatientQoS(QoS):
    """Lets go of a message whatever Redis says; it comes again after the visibility timeout and does nothing."""

    restore_at_shutdown = False

    def ack(self, delivery_tag: Any) -> None:
        self._let_go(delivery_tag, super().ack)

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        self._let_go(delivery_tag, partial(super().reject, requeue=requeue))

    def _let_go(self, delivery_tag: Any, tell: Callable[[Any], None]) -> None:
        try:
            if self.channel.connection is not None:  # a task may outlive the connection it came by
                tell(delivery_tag)
        finally:
            virtual.QoS.ack(self, delivery_tag)


def install() -> None:
    """Make kombu use it in this process, and take a refused command for a lost connection: come back, try again."""
    Channel.QoS = PatientQoS
    if ResponseError not in Transport.connection_errors:
        Transport.connection_errors = (*Transport.connection_errors, ResponseError)
