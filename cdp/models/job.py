from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class JobQuerySet(models.QuerySet["Job"]):
    def open(self) -> "JobQuerySet":
        """Not ended yet: queued, running or paused."""
        return self.filter(state__in=Job.OPEN)


class Job(models.Model):
    """One row is one piece of long work, and the truth about it; Celery's messages only start workers on it.

    A worker has the row by a lease (``lease_token`` until ``lease_until``, by the database's clock).
    Each chunk's transaction checks the lease, writes its data and moves ``cursor``, so that whatever is
    killed, a chunk is applied once or not at all. See cdp/jobs.py for the verbs.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELED = "canceled", "Canceled"

    OPEN = (State.QUEUED, State.RUNNING, State.PAUSED)

    class Wish(models.TextChoices):
        NONE = "", "None"
        PAUSE = "pause", "Pause"
        CANCEL = "cancel", "Cancel"

    kind = models.CharField(max_length=40, help_text="The handler's name, for example import.apply.")
    title = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    wish = models.CharField(max_length=10, choices=Wish, default=Wish.NONE, blank=True)
    params = models.JSONField(default=dict)
    cursor = models.JSONField(default=dict, help_text="How far the committed chunks got.")
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(null=True)
    unit = models.CharField(max_length=20, default="rows")
    result = models.JSONField(default=dict)
    errors = models.JSONField(default=list)
    problem = models.TextField(blank=True, help_text="Why it failed, as a sentence.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="jobs")
    key = models.ForeignKey("cdp.ApiKey", models.PROTECT, null=True, related_name="jobs")
    is_system = models.BooleanField(
        default=False, help_text="Started by the system itself. A job of nobody that is not may do nothing."
    )
    permission = models.CharField(max_length=60, blank=True, help_text="Re-checked before every chunk.")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    progress_at = models.DateTimeField(null=True, help_text="When the last chunk was committed.")
    busy_seconds = models.FloatField(
        default=0, help_text="Time spent in committed chunks; rate = done / this."
    )
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    wake_at = models.DateTimeField(db_default=Now(), help_text="Not taken up before (back-off).")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Takes since the last progress.")
    resumes = models.PositiveSmallIntegerField(default=0, help_text="Times another worker took over.")

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(is_system=False) | models.Q(user__isnull=True, key__isnull=True),
                name="job_of_system_is_nobody_elses",
            )
        ]
        indexes = [
            models.Index(
                fields=["wake_at"], name="job_to_wake", condition=models.Q(state__in=["queued", "running"])
            ),
        ]

    def __str__(self) -> str:
        return self.title or f"{self.kind} #{self.pk}"

    @property
    def starter(self) -> str:
        """Who started it, by name. Expects ``user`` and ``key`` joined in."""
        if self.is_system:
            return "system"
        return str(self.user or self.key or "a login that is gone")

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def rate(self) -> float | None:
        """Units per second over the committed chunks; None before the first."""
        return self.done / self.busy_seconds if self.busy_seconds > 0 else None

    @property
    def eta_seconds(self) -> int | None:
        if self.total is None or not self.rate or self.state != self.State.RUNNING:
            return None
        return max(0, round((self.total - self.done) / self.rate))

    @property
    def percent(self) -> int | None:
        if self.total is None:
            return None
        return 100 if not self.total else min(100, 100 * self.done // self.total)
