from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class WorkerQuerySet(models.QuerySet["Worker"]):
    def live(self) -> "WorkerQuerySet":
        """Those whose row is fresh, by the database's clock."""
        return self.filter(seen_at__gt=Now() - Worker.SILENCE)


class Worker(models.Model):
    """One row is one Celery worker, which writes ``seen_at`` every few seconds.

    It takes its row along when it ends; killed, it leaves one that grows old.
    """

    SILENCE = timedelta(seconds=30)

    name = models.CharField(max_length=255, primary_key=True, help_text="Celery's node name.")
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    queues = ArrayField(
        models.CharField(max_length=100), default=list, help_text="What it takes messages from."
    )

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
