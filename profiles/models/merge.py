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
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    moved = models.JSONField(default=dict, help_text="Counts of what came over: events, identifiers, tags …")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="+")
    source = models.ForeignKey("profiles.Source", models.PROTECT, related_name="+", db_index=False)
    cause = models.CharField(max_length=12, default="request")
    cause_id = models.BigIntegerField(null=True)
    job = models.ForeignKey("cdp.Job", models.SET_NULL, null=True, related_name="merges")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
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
