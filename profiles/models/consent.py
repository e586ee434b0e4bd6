from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Consent(models.Model):
    """One row is one decision a person took; the ledger only grows.

    What holds now, per channel and purpose over all members of a profile: the latest explicit decision;
    a tie or an unknown time (``at`` empty) means *no*.
    """

    class State(models.TextChoices):
        GRANTED = "granted", "Granted"
        WITHDRAWN = "withdrawn", "Withdrawn"

    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="consents", db_index=False)
    channel = models.CharField(max_length=30, help_text="email, sms, push, phone, post …")
    purpose = models.CharField(max_length=60, help_text="newsletter, marketing, profiling …")
    state = models.CharField(max_length=10, choices=State)
    at = models.DateTimeField(null=True, help_text="When the person decided; empty when nobody knows.")
    wording = models.CharField(max_length=200, blank=True, help_text="Version of the text they agreed to.")
    proof = models.JSONField(default=dict, help_text="Form address, import line, double opt-in …")
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
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["profile", "channel", "purpose"], name="consent_of_profile")]

    def __str__(self) -> str:
        return f"{self.channel}/{self.purpose}={self.state}"
