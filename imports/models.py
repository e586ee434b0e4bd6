"""Files that came in: the import, its saved mappings, and the staging rows its plan is made of."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Import(models.Model):
    """One row is one uploaded file on its way from bytes to people, and back if undone."""

    class Kind(models.TextChoices):
        PROFILES = "profiles", "People"
        EVENTS = "events", "Events"

    class State(models.TextChoices):
        UPLOADED = "uploaded", "Uploaded"
        PLANNING = "planning", "Planning"
        PLANNED = "planned", "Planned"
        APPLYING = "applying", "Applying"
        PAUSED = "paused", "Paused"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELED = "canceled", "Canceled"
        UNDOING = "undoing", "Undoing"
        UNDONE = "undone", "Undone"

    name = models.CharField(max_length=255, help_text="The file's name as uploaded; only ever shown, never a path.")
    file = models.FileField(upload_to="imports/", max_length=200, blank=True)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64, db_index=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.PROFILES)
    state = models.CharField(max_length=10, choices=State, default=State.UPLOADED)
    dialect = models.JSONField(default=dict, help_text="encoding, delimiter, quotechar, header_line, newline …")
    headers = models.JSONField(default=list)
    sample = models.JSONField(default=list, help_text="The first rows, for the mapping page.")
    mapping = models.JSONField(default=dict)
    options = models.JSONField(default=dict)
    counts = models.JSONField(default=dict, help_text="Rows by outcome: planned, then what happened.")
    warnings = models.JSONField(default=list)
    problem = models.TextField(blank=True, help_text="Why the whole file failed, as a sentence.")
    source = models.ForeignKey("profiles.Source", models.PROTECT, related_name="+")
    job = models.ForeignKey("cdp.Job", models.SET_NULL, null=True, related_name="+", help_text="The newest.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="imports")
    key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="imports")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    planned_at = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(null=True, help_text="When applying began.")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        permissions = [("undo_import", "Can undo an import")]

    def __str__(self) -> str:
        return self.name


class SavedMapping(models.Model):
    """One row is one mapping kept for files with the same columns."""

    name = models.CharField(max_length=100, unique=True)
    headers = models.JSONField(default=list)
    mapping = models.JSONField()
    options = models.JSONField(default=dict)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
