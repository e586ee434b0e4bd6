"""Who is in a segment, since when, until when and why; and when somebody has to be looked at again."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from segments.models.segment import Segment


class Cause(models.TextChoices):
    """Why somebody came in or went out; the row beside it (``entered_ref``, ``left_ref``) is of that kind."""

    EVENT = "event", "An event"
    CHANGE = "change", "A change of the profile"
    IMPORT = "import", "An import"
    MERGE = "merge", "A merge"
    UNMERGE = "unmerge", "A merge undone"
    TIME = "time", "Time passed"
    RULE = "rule", "The rule was changed"
    SEGMENT = "segment", "Another segment"
    OTHER = "other", "Somebody with the same address, or a suggested duplicate"
    SETTING = "setting", "A setting"
    RETENTION = "retention", "Old events were deleted"
    STAFF = "staff", "By hand"
    RECOUNT = "recount", "The nightly comparison found it missing"


class MembershipQuerySet(models.QuerySet["Membership"]):
    def current(self) -> "MembershipQuerySet":
        """Who is in now."""
        return self.filter(left_at__isnull=True, absorbed_by__isnull=True)

    def at(self, moment: object) -> "MembershipQuerySet":
        """Who was in at that moment, as the profiles were then."""
        return self.filter(entered_at__lte=moment).filter(Q(left_at__isnull=True) | Q(left_at__gt=moment))


class Membership(models.Model):
    """One row is one stay of one profile in one segment; it goes on while ``left_at`` is empty.

    ``entered_at`` and ``left_at`` are when it became true, ``…_recorded_at`` when that was written: after a pause of the
    workers they differ. A row stays at the profile it is about. While that profile is merged into another one that is
    in the segment as well, ``absorbed_by`` is the merge: the stay neither ended nor counts beside the survivor's.
    """

    # Segments are archived, never deleted, so only the key to the profile is checked by the database.
    segment = models.ForeignKey(
        Segment, models.CASCADE, related_name="memberships", db_index=False, db_constraint=False
    )
    profile = models.ForeignKey(
        "profiles.Profile", models.CASCADE, related_name="memberships", db_index=False
    )
    entered_at = models.DateTimeField()
    entered_by = models.CharField(max_length=9, choices=Cause)
    entered_ref = models.BigIntegerField(null=True)
    entered_recorded_at = models.DateTimeField(db_default=Now())
    left_at = models.DateTimeField(null=True)
    left_by = models.CharField(max_length=9, choices=Cause, blank=True, default="", db_default="")
    left_ref = models.BigIntegerField(null=True)
    left_recorded_at = models.DateTimeField(null=True)
    absorbed_by = models.BigIntegerField(null=True, help_text="The number of a merge.")

    objects = MembershipQuerySet.as_manager()

    class Meta:
        ordering = ["-entered_at", "-id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["segment", "profile"], condition=Q(left_at__isnull=True), name="membership_open_once"
            ),
            models.CheckConstraint(
                condition=Q(left_at__isnull=True) | Q(left_at__gte=F("entered_at")),
                name="membership_in_order",
            ),
            models.CheckConstraint(
                condition=Q(left_at__isnull=True, left_by="") | (Q(left_at__isnull=False) & ~Q(left_by="")),
                name="membership_left_for_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["profile", "-entered_at"], name="membership_of_profile"),
            models.Index(fields=["segment", "-entered_at", "-id"], name="membership_entered"),
            models.Index(
                fields=["segment", "-left_at", "-id"],
                name="membership_left",
                condition=Q(left_at__isnull=False),
            ),
            models.Index(
                fields=["absorbed_by"], name="membership_absorbed", condition=Q(absorbed_by__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.profile_id} in segment {self.segment_id}"


class NextCheck(models.Model):
    """One row says that time alone may change whether a profile is in a segment, and when: look again, not flip."""

    # Written by the hundred thousand and gone when due: the database checks neither key.
    id = models.BigAutoField(primary_key=True)
    segment = models.ForeignKey(
        Segment, models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="+", db_constraint=False)
    due_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["segment", "profile"], name="next_check_once")]

    def __str__(self) -> str:
        return f"#{self.profile_id} at {self.due_at}"


class HandPick(models.Model):
    """One row puts one profile into a segment, or keeps it out, whatever the rule says. A segment by hand has nothing else."""

    segment = models.ForeignKey(Segment, models.CASCADE, related_name="hand_picks", db_index=False)
    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="+")
    is_in = models.BooleanField(help_text="Off: always out.")
    reason = models.CharField(max_length=300, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-created_at"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["segment", "profile"], name="hand_pick_once")]

    def __str__(self) -> str:
        return f"#{self.profile_id} always {'in' if self.is_in else 'out'}"
