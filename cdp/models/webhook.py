import secrets

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


def new_secret() -> str:
    return secrets.token_urlsafe(32)


class Webhook(models.Model):
    """One row is one address of another system that subscribed to topics."""

    name = models.CharField(max_length=100)
    url = models.URLField(max_length=500, help_text="https address on a public network.")
    topics = ArrayField(
        models.CharField(max_length=40), default=list, help_text="For example profile.merged."
    )
    secret = models.CharField(
        max_length=64, default=new_secret, help_text="Signs every delivery (HMAC-SHA-256)."
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class OutboxMessage(models.Model):
    """One row is one thing that happened and is to be sent to webhooks, written by the transaction that did it."""

    topic = models.CharField(max_length=40)
    profile_id = models.BigIntegerField(null=True, help_text="Deliveries of one profile keep their order.")
    other_id = models.BigIntegerField(
        null=True, help_text="The second profile of a message about two, whose order it keeps as well."
    )
    payload = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    is_fanned_out = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["id"], name="outbox_to_fan_out", condition=models.Q(is_fanned_out=False)),
        ]

    def __str__(self) -> str:
        return f"{self.topic} #{self.pk}"


class Delivery(models.Model):
    """One row is one message on its way to one webhook."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DELIVERED = "delivered", "Delivered"
        DEAD = "dead", "Given up"

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    message = models.ForeignKey(OutboxMessage, models.CASCADE, related_name="deliveries")
    profile_id = models.BigIntegerField(null=True)
    other_id = models.BigIntegerField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(db_default=Now())
    status = models.PositiveSmallIntegerField(null=True, help_text="The last HTTP status.")
    problem = models.TextField(blank=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["webhook", "message"], name="delivery_once_per_webhook"),
        ]
        indexes = [
            models.Index(fields=["next_at"], name="delivery_due", condition=models.Q(state="waiting")),
            models.Index(
                fields=["webhook", "profile_id", "id"],
                name="delivery_in_order",
                condition=models.Q(state="waiting"),
            ),
            models.Index(
                fields=["webhook", "other_id", "id"],
                name="delivery_in_order_of_other",
                condition=models.Q(state="waiting", other_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.message} → {self.webhook}"
