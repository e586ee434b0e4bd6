"""What each source sent, by the hour, and when it began to send something else."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class SourceHour(models.Model):
    """One row is what one source sent within one hour (UTC), counted once by profiles/quality/hourly_counts.py.

    ``items`` are tracking calls with an outcome of their own (repeated messages and replays do not count).
    ``duplicates`` are those of ``new_profiles`` that turned out to be duplicates of a known profile.
    """

    source = models.ForeignKey(
        "profiles.Source", models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    hour = models.DateTimeField()
    items = models.PositiveIntegerField(default=0, db_default=0)
    events = models.PositiveIntegerField(default=0, db_default=0, help_text="track, page and screen.")
    identifies = models.PositiveIntegerField(default=0, db_default=0)
    updates = models.PositiveIntegerField(default=0, db_default=0)
    unknown_events = models.PositiveIntegerField(default=0, db_default=0, help_text="Of nobody known.")
    attribute_ids = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Items with an identifier sent as an attribute."
    )
    violations = models.PositiveIntegerField(default=0, db_default=0)
    late_identifies = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Orders whose buyer was identified only afterwards."
    )
    new_profiles = models.PositiveIntegerField(default=0, db_default=0)
    duplicates = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        ordering = ["-hour"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["source", "hour"], name="source_hour_once")]
        indexes = [models.Index(fields=["hour"], name="source_hour_by_time")]

    def __str__(self) -> str:
        return f"{self.source_id} at {self.hour:%Y-%m-%d %H}:00"


class ScorecardState(models.Model):
    """The one row that says up to when sources were counted; moved in the transaction that counts."""

    counted_to = models.DateTimeField(null=True)
    recounted_at = models.DateTimeField(
        null=True, help_text="When duplicates of all hours were counted anew."
    )

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(name="scorecard_state_one_row", condition=Q(pk=1))]

    def __str__(self) -> str:
        return f"counted to {self.counted_to}"


class SourceAlarm(models.Model):
    """One row is one change of what a source sends: detected, reported once, open until somebody has acknowledged it.

    Shares are between 0 and 1. ``bound`` is the edge of what was usual; ``ended_at`` is set when the share is
    back inside it. Of one kind a source has one alarm at a time.
    """

    class Signal(models.TextChoices):
        UPDATE = "update", "Update instead of identify"
        NO_IDENTIFY = "no_identify", "Identify is missing"
        UNKNOWN = "unknown", "Events without identity"
        ATTRIBUTE = "attribute", "Identifiers sent as attributes"
        VIOLATION = "violation", "Events that break their schema"

    source = models.ForeignKey("profiles.Source", models.CASCADE, related_name="alarms", db_index=False)
    signal = models.CharField(max_length=12, choices=Signal)
    began_at = models.DateTimeField(help_text="To the minute.")
    usual = models.FloatField()
    bound = models.FloatField()
    share = models.FloatField(help_text="In the hour last looked at.")
    calls = models.PositiveIntegerField(help_text="How many calls that share is of.")
    sentence = models.CharField(max_length=500)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view", "change")
        constraints = [
            models.UniqueConstraint(
                fields=["source", "signal"], condition=Q(ended_at__isnull=True), name="source_alarm_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["-id"], name="source_alarm_unread", condition=Q(acknowledged_at__isnull=True)
            ),
            models.Index(fields=["source", "-id"], name="source_alarm_of_source"),
        ]

    def __str__(self) -> str:
        return self.sentence
