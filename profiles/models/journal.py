from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Change(models.Model):
    """One row is one operation on one profile: the journal.

    System event on the timeline, provenance ("who set this, when, through which source"), undo log and time
    travel in one. Written in the same transaction as the data; only ever added.

    ``fields`` is ``{field: [old, new]}``; custom attributes are ``attributes.<name>``; the many-valued
    ``tags``, ``identifiers``, ``addresses``, ``consents`` are ``[[removed], [added]]``, identifiers
    as ``type:value`` and consents as ``channel/purpose=state``.
    ``profile`` is the row that changed; ``via`` is the member whose identifier resolved to it, when it was not
    the root, so that an unmerge returns what arrived by the loser.
    """

    class Kind(models.TextChoices):
        CREATED = "created", "Created"
        UPDATED = "updated", "Changed"
        MERGED = "merged", "Merged"
        UNMERGED = "unmerged", "Merge undone"
        DELETED = "deleted", "Deleted"
        RESTORED = "restored", "Restored"
        LOCKED = "locked", "Locked against merging"
        UNLOCKED = "unlocked", "Unlocked"
        ANONYMIZED = "anonymized", "Anonymized"
        ERASED = "erased", "Erased"

    class Cause(models.TextChoices):
        """What made the actor's system do it; ``cause_id`` is the row of that table."""

        REQUEST = "request", "Form or API call"
        IMPORT = "import", "Import"
        IMPORT_UNDO = "import_undo", "Import undone"
        MERGE = "merge", "Merge"
        UNMERGE = "unmerge", "Unmerge"
        JOB = "job", "Bulk action"
        EVENT = "event", "Event"

    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="changes", db_index=False)
    via = models.ForeignKey(
        "profiles.Profile", models.SET_NULL, related_name="+", null=True, db_index=False, db_constraint=False
    )
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=10, choices=Kind)
    source = models.ForeignKey(
        "profiles.Source", models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    key = models.ForeignKey(
        "cdp.ApiKey", models.SET_NULL, null=True, related_name="+", db_index=False, db_constraint=False
    )
    cause = models.CharField(max_length=12, choices=Cause, default=Cause.REQUEST)
    cause_id = models.BigIntegerField(null=True)
    line = models.PositiveIntegerField(null=True, help_text="The line of the imported file.")
    fields = models.JSONField(default=dict)
    detail = models.JSONField(null=True, help_text="Ids and counts an undo needs.")

    class Meta:
        ordering = ["-at", "-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["profile", "-at", "-id"], name="change_of_profile"),
            models.Index(
                fields=["cause", "cause_id", "id"],
                name="change_by_cause",
                condition=Q(cause_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} #{self.profile_id}"

    @property
    def author(self) -> str:
        """Who made the change, for sentences. Load ``user``, ``key`` and ``source`` with it."""
        if self.cause == self.Cause.IMPORT:
            return f"import {self.cause_id}"
        if self.user:
            return self.user.get_username()
        return self.key.name if self.key else self.source.name
