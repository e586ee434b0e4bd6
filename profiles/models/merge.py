from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class MergeQuerySet(models.QuerySet["Merge"]):
    def active(self) -> "MergeQuerySet":
        return self.filter(undone_at__isnull=True)


class Merge(models.Model):
    """One row is one merge; while not undone it is an edge loser → winner of a forest.

    ``before`` and ``after`` hold the winner's row in the fields this merge changed
    (``{field: value}``), so that an undo reverts a field only where ``after`` still stands.
    """

    loser = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="merges_as_loser")
    winner = models.ForeignKey(
        "profiles.Profile", models.CASCADE, related_name="merges_as_winner", db_index=False
    )
    choices = models.JSONField(default=dict, help_text="{field: winner|loser} where somebody chose.")
    rules = models.JSONField(
        default=dict,
        help_text="{field: merge rule} where the attribute's own rule decided, as it was at that time.",
    )
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    moved = models.JSONField(default=dict, help_text="Counts of what came over: events, identifiers, tags …")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="+")
    source = models.ForeignKey("profiles.Source", models.PROTECT, related_name="+", db_index=False)
    cause = models.CharField(max_length=12, default="request")
    cause_id = models.BigIntegerField(null=True)
    job = models.ForeignKey("cdp.Job", models.SET_NULL, null=True, related_name="merges")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    undone_by_key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="+")

    objects = MergeQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("bulk_merge", "Can merge many people at once, and undo it")]
        constraints = [
            models.UniqueConstraint(
                fields=["loser"], condition=Q(undone_at__isnull=True), name="merge_one_winner_per_loser"
            ),
            models.CheckConstraint(name="merge_is_of_two", condition=~Q(loser=F("winner"))),
        ]
        indexes = [
            models.Index(fields=["winner"], name="merge_into_winner", condition=Q(undone_at__isnull=True)),
            models.Index(fields=["created_at"], name="merge_by_time"),
        ]

    def __str__(self) -> str:
        return f"#{self.loser_id} into #{self.winner_id}"

    @property
    def undone_by_name(self) -> str:
        """Who undid it, for sentences. Load ``undone_by`` and ``undone_by_key`` with it."""
        if self.undone_by:
            return self.undone_by.get_username()
        return self.undone_by_key.name if self.undone_by_key else "the system"


class MergeBatch(models.Model):
    """One row is many merges decided together: looked at, carried out and taken back as one.

    ``preview`` holds what would happen (``{"merges", "people", "skipped": {code: n}, "fields": {field: n},
    "consents", "moved": {kind: n}}``), ``counts`` what did (``{"merged", "skipped", "undone", "kept"}``).
    """

    class Origin(models.TextChoices):
        QUEUE = "queue", "Duplicates"
        CSV = "csv", "CSV file"
        API = "api", "API"
        RULE = "rule", "Automatic rule"

    class State(models.TextChoices):
        CHECKING = "checking", "Being checked"
        READY = "ready", "Waits for confirmation"
        MERGING = "merging", "Merging"
        DONE = "done", "Done"
        STOPPED = "stopped", "Stopped halfway"
        UNDOING = "undoing", "Being undone"
        UNDONE = "undone", "Undone"
        DISCARDED = "discarded", "Discarded"

    title = models.CharField(max_length=200)
    origin = models.CharField(max_length=5, choices=Origin)
    state = models.CharField(max_length=9, choices=State, default=State.CHECKING)
    size = models.PositiveIntegerField(help_text="How many pairs.")
    preview = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
    source = models.ForeignKey("profiles.Source", models.PROTECT, related_name="+", db_index=False)
    job = models.ForeignKey("cdp.Job", models.SET_NULL, null=True, related_name="+")
    undo_job = models.ForeignKey("cdp.Job", models.SET_NULL, null=True, related_name="+", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "merge batches"
        ordering = ["-id"]
        default_permissions = ()  # view_merge and bulk_merge say it

    def __str__(self) -> str:
        return self.title

    @property
    def is_busy(self) -> bool:
        return self.state in (self.State.CHECKING, self.State.MERGING, self.State.UNDOING)

    @property
    def current_job(self) -> "models.Model | None":
        """The job that checks, merges or undoes, or did last."""
        return self.undo_job or self.job


class MergeBatchRow(models.Model):
    """One row is one pair of a batch and what became of it; ``position`` is its turn.

    Profiles are plain ids: a batch may name what does not exist. The versions are those of the preview (empty
    when nobody looked), by which a change since shows.
    """

    class Outcome(models.TextChoices):
        WAITING = "waiting", "Waiting"
        MERGED = "merged", "Merged"
        SKIPPED = "skipped", "Skipped"
        UNDONE = "undone", "Undone"
        KEPT = "kept", "Could not be undone"

    batch = models.ForeignKey(MergeBatch, models.CASCADE, related_name="rows", db_index=False)
    position = models.PositiveIntegerField()
    winner_id = models.BigIntegerField()
    loser_id = models.BigIntegerField()
    winner_version = models.PositiveIntegerField(null=True)
    loser_version = models.PositiveIntegerField(null=True)
    pair = models.ForeignKey("profiles.DuplicatePair", models.SET_NULL, null=True, related_name="+")
    line = models.PositiveIntegerField(null=True, help_text="The line of the file.")
    outcome = models.CharField(max_length=7, choices=Outcome, default=Outcome.WAITING)
    code = models.CharField(max_length=20, blank=True, default="", help_text="Why it was skipped, as a word.")
    reason = models.CharField(max_length=500, blank=True, default="")
    merge = models.ForeignKey(Merge, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["position"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["batch", "position"], name="merge_batch_row_in_order"),
        ]
        indexes = [models.Index(fields=["batch", "outcome", "position"], name="merge_batch_row_by_outcome")]

    def __str__(self) -> str:
        return f"#{self.loser_id} into #{self.winner_id}"
