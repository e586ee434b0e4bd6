from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Mail(models.Model):
    """One row is one mail to send; it is the queue, the record of what became of it, and the local mailbox."""

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting to be sent"
        SENT = "sent", "Sent"
        KEPT = "kept", "Kept in the local mailbox"
        FAILED = "failed", "Failed"

    to = ArrayField(models.EmailField(max_length=320))
    sender = models.CharField(max_length=320, blank=True)
    subject = models.CharField(max_length=998)
    text = models.TextField()
    html = models.TextField(blank=True)
    is_secret = models.BooleanField(
        default=False,
        help_text="Has a link for its recipient alone: hidden in the mailbox, emptied once it is sent.",
    )
    attachments = models.JSONField(default=list, help_text="[{name, type, content (base64)}]")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(db_default=Now(), help_text="Not tried again before.")
    problem = models.TextField(blank=True, help_text="The mail server's last answer.")
    job = models.ForeignKey("cdp.Job", models.SET_NULL, null=True, blank=True, related_name="mails")
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["next_at"], name="mail_to_send", condition=models.Q(state="queued"))]

    def __str__(self) -> str:
        return self.subject
