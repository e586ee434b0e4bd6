"""Staff logins and API keys."""

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models.functions import Now


class User(AbstractUser):
    """One row is one staff login. People in the data are profiles, never users.

    A login is deactivated, never deleted: journal, notes, consents and jobs name who did it (hence their PROTECT).
    """


class LoginSession(AbstractBaseSession):
    """One row is one browser's session, for pages and the REST API: Django's own, and whose it is and from where.

    ``user`` is empty while a password is set by a link of a mail.
    """

    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="sessions")
    address = models.GenericIPAddressField(null=True, help_text="Where it was begun.")
    agent = models.CharField(max_length=300, blank=True, help_text="The browser's user agent.")
    begun_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(help_text="Exact to five minutes.")

    class Meta(AbstractBaseSession.Meta):
        default_permissions = ()

    @classmethod
    def get_session_store_class(cls) -> Any:
        from cdp.sessions import SessionStore

        return SessionStore


class ApiKey(models.Model):
    """One row is one secret an integration sends as ``Authorization: Bearer``; only its SHA-256 is kept."""

    name = models.CharField(
        max_length=100, help_text="Which system uses this key, for example “shop backend”."
    )
    prefix = models.CharField(
        max_length=12, editable=False, help_text="The first characters, to recognize the key."
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=30), default=list)
    created_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    owner = models.ForeignKey(
        User,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="api_keys",
        help_text="The login that answers for this key; while it is deactivated, the key is refused.",
    )
    is_system = models.BooleanField(
        default=False, help_text="Made on the machine's command line: it belongs to no login."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(is_system=False) | models.Q(owner__isnull=True),
                name="api_key_of_system_has_no_owner",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class ApiKeyUse(models.Model):
    """One row is one address that a key called, ever: how often, how often in vain, and the last error."""

    key = models.ForeignKey(ApiKey, models.CASCADE, related_name="uses", db_index=False)
    method = models.CharField(max_length=7)
    address = models.CharField(
        max_length=200, help_text="With names in place of ids: /api/v1/profiles/{ref}/"
    )
    calls = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    last_at = models.DateTimeField()
    last_error_at = models.DateTimeField(null=True)
    last_status = models.PositiveSmallIntegerField(null=True)
    last_error = models.CharField(max_length=300, blank=True, default="", help_text="Without what it quotes.")

    class Meta:
        ordering = ["-calls"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["key", "method", "address"], name="api_key_use_once_per_address")
        ]

    def __str__(self) -> str:
        return f"{self.key_id}: {self.method} {self.address}"


class IdempotencyKey(models.Model):
    """One row is one write an API client may repeat: same key and body → the saved answer, for 24 hours."""

    owner = models.CharField(max_length=40, help_text="The actor's label: key:7 or user:3.")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path, query and body.")
    status = models.PositiveSmallIntegerField(
        null=True, help_text="Empty while the first request is in flight."
    )
    headers = models.JSONField(default=dict)
    body = models.BinaryField(null=True)
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "key"], name="idempotency_key_once_per_owner")
        ]

    def __str__(self) -> str:
        return f"{self.owner} {self.key}"


class RateWindow(models.Model):
    """One row is how many requests of the current minute were handed out to one caller (cdp/api/throttling.py)."""

    owner = models.CharField(max_length=40, primary_key=True, help_text="The actor's label: key:7 or user:3.")
    window = models.BigIntegerField(help_text="Minutes since 1970.")
    granted = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.owner}: {self.granted}"
