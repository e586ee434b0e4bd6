"""What tracking stores beside events: receipts, browsers that changed hands, held merges, carts, activity."""

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Receipt(models.Model):
    """One row is what became of one item of one tracking call. The sum of outcomes is what was sent.

    ``payload`` is the item itself when it was not carried out, so that it can be repaired and replayed; of the
    others the event has it. ``problems`` is ``[{pointer, value, message, code}]``: why it was not carried
    out, or what was wrong with an item that was (schema violations, values left out).
    """

    class Outcome(models.TextChoices):
        APPLIED = "applied", "Applied"
        MERGED = "merged", "Applied, merged two profiles"
        DUPLICATE = "duplicate", "Duplicate, dropped"
        CONFLICT = "conflict", "Applied, but its ids belong to two people"
        QUARANTINED = "quarantined", "Kept for repair"
        SUPPRESSED = "suppressed", "Dropped: the person was erased"
        BLOCKED_VALUE = "blocked_value", "No usable id"
        INVALID = "invalid", "Not valid"

    # Not carried out, and waiting for somebody: the Rejected inbox.
    WAITING = ("quarantined", "blocked_value", "invalid")

    source = models.ForeignKey(
        "profiles.Source", models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    received_at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=20, blank=True, help_text="identify, track … as it was sent.")
    name = models.CharField(max_length=255, blank=True, help_text="The event's name, if it had one.")
    message_id = models.CharField(max_length=255, blank=True, help_text="As it was sent.")
    outcome = models.CharField(max_length=13, choices=Outcome)
    code = models.CharField(max_length=40, blank=True, help_text="Why, as one word: missing_identifier …")
    message = models.TextField(blank=True, help_text="Why, as a sentence.")
    profile = models.ForeignKey(
        "profiles.Profile",
        models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    payload = models.JSONField(null=True)
    problems = models.JSONField(null=True)
    replay_of = models.ForeignKey(
        "self", models.SET_NULL, null=True, related_name="+", db_index=False, db_constraint=False
    )
    resolved_at = models.DateTimeField(null=True, help_text="When it was replayed or dismissed.")
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    resolution = models.CharField(max_length=10, blank=True, help_text="replayed or dismissed.")
    note = models.CharField(
        max_length=300,
        blank=True,
        default="",
        db_default="",
        help_text="Why it was dismissed, as it was typed.",
    )

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view", "change")
        permissions = [("replay_receipt", "Can repair and replay rejected items")]
        indexes = [
            models.Index(fields=["source", "-id"], name="receipt_of_source"),
            models.Index(
                fields=["outcome", "-id"], name="receipt_by_outcome", condition=~Q(outcome="applied")
            ),
            # What was not applied, or not all of it.
            models.Index(
                fields=["message_id"],
                name="receipt_by_message",
                condition=~Q(outcome="applied") | Q(problems__isnull=False),
            ),
            # The inbox, and what a GDPR export or an erasure has to look at.
            models.Index(
                fields=["-id"],
                name="receipt_waiting",
                condition=Q(payload__isnull=False, resolved_at__isnull=True),
            ),
            models.Index(
                fields=["name", "-id"], name="receipt_problems", condition=Q(problems__isnull=False)
            ),
            models.Index(
                fields=["profile", "-id"],
                name="receipt_of_profile",
                condition=Q(profile__isnull=False) & ~Q(outcome="applied"),
            ),
            # Receipts of a span of time; costs next to nothing to keep, since rows come in by time.
            BrinIndex(fields=["received_at"], name="receipt_by_time", autosummarize=True),
            # What a rejected item became; also what deleting old receipts has to look at.
            models.Index(fields=["replay_of"], name="receipt_replays", condition=Q(replay_of__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.message_id}: {self.outcome}"


class LinkInterval(models.Model):
    """One row is a time during which a soft identifier belonged to one profile.

    Only for values that changed hands (a shared browser): the first hand's interval begins at the beginning
    of time, the last one's has no end. What happened in an interval belongs to its profile, however late it
    arrives; no event is rewritten.
    """

    type = models.ForeignKey("profiles.IdentifierType", models.PROTECT, related_name="+", db_index=False)
    value = models.CharField(max_length=255)
    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="link_intervals")
    started_at = models.DateTimeField(null=True, help_text="Empty: since ever.")
    ended_at = models.DateTimeField(null=True, help_text="Empty: still.")

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["type", "value"], condition=Q(ended_at__isnull=True), name="link_open_once"
            )
        ]
        indexes = [models.Index(fields=["value", "type", "started_at"], name="link_by_value")]

    def __str__(self) -> str:
        return f"{self.value} → #{self.profile_id}"


class HeldMerge(models.Model):
    """One row is a merge of two profiles that a tracking call asked for and that waits for somebody to decide.

    ``profile`` is where the call went, ``other`` what the value resolves to. A value decided as *shared* never
    merges profiles again; one that was blocked is among its type's blocked values.

    ``effects`` of a decision: ``{"listed": bool, "identifier": id, "case"}`` when blocked, ``{"identifier", "profile",
    "ended", "made": [ids]}`` when shared (``{}`` where the value resolved to nothing), ``{"merge": id}``.
    """

    class Reason(models.TextChoices):
        VALUE = "value", "Too many people share the value"
        RATE = "rate", "Its source merged too many profiles within an hour"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        BLOCKED = "blocked", "Value blocked"
        SHARED = "shared", "Shared device"
        MERGED = "merged", "Merged anyway"
        DISMISSED = "dismissed", "Dismissed"

    source = models.ForeignKey("profiles.Source", models.PROTECT, related_name="+")
    reason = models.CharField(max_length=5, choices=Reason)
    type = models.ForeignKey("profiles.IdentifierType", models.PROTECT, related_name="+")
    value = models.CharField(max_length=255)
    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="held_merges")
    other = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="+")
    people = models.PositiveIntegerField(default=0, help_text="How many people had the value by then.")
    count = models.PositiveIntegerField(default=1, help_text="How often a call would have merged them.")
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_at = models.DateTimeField(db_default=Now(), editable=False)
    decided_at = models.DateTimeField(null=True)
    effects = models.JSONField(
        null=True,
        editable=False,
        help_text="Numbers of the rows the decision changed, so that it can be undone.",
    )

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view", "change")
        constraints = [
            models.UniqueConstraint(
                fields=["type", "value", "profile", "other"],
                condition=Q(state="open"),
                name="held_merge_open_once",
            )
        ]
        indexes = [
            models.Index(fields=["value", "type"], name="held_merge_shared", condition=Q(state="shared")),
            models.Index(fields=["state", "-id"], name="held_merge_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.value}: #{self.profile_id} and #{self.other_id}"


class Cart(models.Model):
    """One row is one cart of one profile, known by the cart_id of its events."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        SUPERSEDED = "superseded", "Superseded by a newer cart"
        ORDERED = "ordered", "Ordered"

    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="carts", db_index=False)
    source = models.ForeignKey(
        "profiles.Source", models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    cart_id = models.CharField(max_length=255)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN, db_default=State.OPEN)
    started_at = models.DateTimeField()
    last_event_at = models.DateTimeField()
    superseded_by = models.ForeignKey("self", models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-last_event_at", "-id"]
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["profile", "cart_id"], name="cart_once_per_profile")]

    def __str__(self) -> str:
        return self.cart_id


class Visit(models.Model):
    """One row is a span in which a profile was active, written by a tracking call, added to the profile within seconds.

    The profile itself has a dozen indexes, and an active person sends many calls: writing it once for all of
    them, afterwards, costs a tenth. ``profile`` is the member the call arrived at, so that a merge undone
    meanwhile gives a visit to the profile it belongs to.
    """

    id = models.BigAutoField(primary_key=True)
    profile = models.ForeignKey(
        "profiles.Profile", models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    since = models.DateTimeField()
    until = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"#{self.profile_id} until {self.until}"
