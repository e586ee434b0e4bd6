from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Note(models.Model):
    """One row is one remark staff wrote on a profile."""

    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="notes", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="+")
    text = models.TextField(max_length=10_000)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["profile", "-created_at", "-id"], name="note_of_profile")]

    def __str__(self) -> str:
        return self.text[:60]


class Message(models.Model):
    """One row is one e-mail staff sent to a person; ``mail`` tells what became of it."""

    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="messages", db_index=False)
    channel = models.CharField(max_length=10, default="email")
    purpose = models.CharField(max_length=60)
    address = models.CharField(max_length=320)
    subject = models.CharField(max_length=200)
    text = models.TextField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    mail = models.OneToOneField("cdp.Mail", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [models.Index(fields=["profile", "-created_at", "-id"], name="message_to_profile")]

    def __str__(self) -> str:
        return self.subject
