from typing import Any

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Coalesce, Now

from profiles.models.definition import Source


class EventName(models.Model):
    """One row is one event name ever seen; events carry its small id."""

    name = models.CharField(max_length=255, unique=True)

    def __str__(self) -> str:
        return self.name


class EventQuerySet(models.QuerySet["Event"]):
    """The join from events to surviving profiles: ``of_profiles`` for some, ``by_canonical`` for whole tables."""

    def of_profiles(self, *roots: int) -> "EventQuerySet":
        """Events of the roots and of every profile merged into them."""
        from profiles.models.profile import Profile

        return self.filter(profile_id__in=Profile.objects.members_of(*roots).values("pk"))

    def by_canonical(self) -> "EventQuerySet":
        """Annotates ``person_id``, the surviving profile, reading merged rows only (partial index)."""
        from profiles.models.profile import Profile

        merged: Any = Profile.objects.filter(pk=models.OuterRef("profile_id")).exclude(
            canonical_id=models.F("pk")
        )
        canonical = models.Subquery(merged.values("canonical_id"))
        return self.annotate(
            person_id=Coalesce(canonical, "profile_id", output_field=models.BigIntegerField())
        )


class Event(models.Model):
    """One row is one accepted call about a person, on the profile it arrived at (never re-pointed by a merge).

    Calls that are not events (identify, group, alias …) are kept as well, traits as ``properties``: one table
    keeps what was sent, drops what is sent twice, and puts it all on the timeline.
    ``name`` is a track call's own and the kind of all others; what a page or screen is called is among its
    ``properties``. ``envelope`` is the rest of the call as it was sent: ``message_id`` when it was not a UUID in
    its usual spelling, ``user_id``, ``anonymous_id``, ``previous_id``, ``group_id``, ``channel``, ``sent_at``,
    ``timestamp``, ``marks`` (late, future, skewed, retry) …
    """

    class Kind(models.TextChoices):
        TRACK = "track", "Event"
        PAGE = "page", "Page view"
        SCREEN = "screen", "Screen view"
        IDENTIFY = "identify", "Identified"
        UPDATE = "update", "Attributes sent"
        GROUP = "group", "Joined a group"
        ALIAS = "alias", "Ids merged"
        CONSENT = "consent", "Consent sent"

    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="events", db_index=False)
    name = models.ForeignKey(EventName, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.TRACK, db_default=Kind.TRACK)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())
    message_id = models.UUIDField(
        help_text="The sender's id or a UUID made from it, so that a repeated call has one effect."
    )
    source = models.ForeignKey(
        "profiles.Source", models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    properties = models.JSONField(default=dict)
    context = models.JSONField(default=dict)
    envelope = models.JSONField(null=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["-occurred_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["source", "message_id"], name="event_once_per_source")]
        indexes = [
            models.Index(fields=["profile", "-occurred_at", "-id"], name="event_of_profile"),
            models.Index(fields=["profile", "name", "-occurred_at"], name="event_of_profile_by_name"),
            models.Index(fields=["name", "occurred_at"], name="event_by_name"),
            # Events of a span of time, for lists by when they arrived; next to free, since rows come in by time.
            BrinIndex(fields=["received_at"], name="event_by_time", autosummarize=True),
        ]

    def __str__(self) -> str:
        return self.name.name

    @property
    def page_name(self) -> str:
        """What a page or a screen is called; empty for others and for those without a name."""
        return self._given("name") if self.kind in (self.Kind.PAGE, self.Kind.SCREEN) else ""

    @property
    def category(self) -> str:
        return self._given("category")

    def _given(self, key: str) -> str:
        return given_text(key, self.properties, self.envelope)


def given_text(key: str, properties: dict[str, Any], envelope: dict[str, Any] | None) -> str:
    """A text of the call itself, else of its properties: ``name`` or ``category`` of a page or screen. Empty for none."""
    kept = envelope or {}
    for part in (kept, properties, kept.get("rest")):
        value = part.get(key) if isinstance(part, dict) else None
        if isinstance(value, str) and value:
            return value
    return ""


class EventSchema(models.Model):
    """One row is the schema of the events of one name.

    ``properties`` is ``{name: {"type": …, "required": bool, "aliases": [other spellings], "enum": [...],
    "minimum": n, "maximum": n, "pattern": …, "description": …}}``; ``type`` is a JSON Schema type or
    ``datetime``. Names not listed are allowed.
    """

    name = models.CharField(max_length=255, unique=True, help_text="The event's name, exactly.")
    description = models.TextField(blank=True)
    properties = models.JSONField(default=dict)
    mode = models.CharField(
        max_length=10,
        choices=Source.SchemaMode,
        blank=True,
        help_text="Empty: the source's setting applies.",
    )
    is_builtin = models.BooleanField(default=False, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
