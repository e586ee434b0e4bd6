"""The broker's two queues → what each of them is for, and how many messages wait in it."""

from __future__ import annotations

from typing import Any

from celery import current_app
from kombu import Connection

JOBS, HOUSEKEEPING = "jobs", "housekeeping"
QUEUES = {
    JOBS: "people's jobs (imports, exports, bulk work)",
    HOUSEKEEPING: "housekeeping (webhooks, mail, duplicate scans)",
}


def waiting(queue: str, connection: Connection | None = None) -> int:
    """How many messages no worker has taken yet.

    Opens a channel on the connection, or a connection of its own. Raises what a broker that is away raises.
    """
    if connection is None:
        with current_app.connection_for_write() as connection:
            return waiting(queue, connection)
    # A channel of its own: RabbitMQ closes the one on which a queue that is not there was asked for.
    channel: Any = connection.channel()
    try:
        return int(channel.queue_declare(queue=queue, passive=True).message_count)
    except connection.channel_errors:
        return 0  # no message was ever sent to it, or on Redis: none is left in it
    finally:
        channel.close()
