from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex, GinIndex
from django.db import models
from django.db.models.functions import Now


class Look(models.Model):
    """One row is one page, answer or file that showed people to somebody: who saw whom, where, and when.

    Not part of the audit log: rows are many, and leave after CDP_LOOK_KEEP_DAYS. ``cdp.looks`` writes them.
    """

    at = models.DateTimeField(db_default=Now(), editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DO_NOTHING, null=True, db_constraint=False, db_index=False
    )
    key = models.ForeignKey("cdp.ApiKey", models.DO_NOTHING, null=True, db_constraint=False, db_index=False)
    actor = models.CharField(max_length=200, help_text="The name at the time.")
    kind = models.CharField(
        max_length=30, help_text="What was looked at, and so what for: card, list, export …"
    )
    profile_ids = ArrayField(models.BigIntegerField(), default=list, help_text="Whom it showed.")
    subject = models.CharField(
        max_length=60, blank=True, help_text="What else it showed or came from: import:7, receipt:3, job:9."
    )
    is_masked = models.BooleanField(default=False, help_text="Whether personal data was masked.")
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=36, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        permissions = [("view_look", "Can see who looked at whom")]
        indexes = [
            GinIndex(fields=["profile_ids"], name="look_by_profile"),
            models.Index(fields=["subject"], name="look_by_subject", condition=~models.Q(subject="")),
            models.Index(fields=["user", "-id"], name="look_by_user", condition=models.Q(user__isnull=False)),
            models.Index(fields=["key", "-id"], name="look_by_key", condition=models.Q(key__isnull=False)),
            BrinIndex(fields=["at"], name="look_by_time", autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.kind} {len(self.profile_ids)}"
