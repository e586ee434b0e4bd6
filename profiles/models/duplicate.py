from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class DuplicatePair(models.Model):
    """One row is one pair of profiles that may be one person, and what people decided about it.

    ``a`` is always the smaller id. A verdict *not a duplicate* is respected by every door (I11).
    """

    class Verdict(models.TextChoices):
        OPEN = "open", "Open"
        LATER = "later", "Later"
        MERGED = "merged", "Merged"
        NOT_DUPLICATE = "not_duplicate", "Not a duplicate"

    a = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="+")
    b = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="+")
    verdict = models.CharField(max_length=14, choices=Verdict, default=Verdict.OPEN)
    reasons = models.JSONField(default=list, help_text="[{code, type, value, source, text}]")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["a", "b"], name="duplicate_pair_once"),
            models.CheckConstraint(name="duplicate_pair_in_order", condition=Q(a__lt=F("b"))),
        ]

    def __str__(self) -> str:
        return f"#{self.a_id} and #{self.b_id}: {self.get_verdict_display()}"
