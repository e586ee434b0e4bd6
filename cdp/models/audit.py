from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class AuditEntry(models.Model):
    """One row is one thing somebody did or looked at. Rows are only ever added.

    Rows are written inside the acting transaction without touching each other; ``seal_audit`` then
    chains them in id order (``digest`` covers the row and the digest before it), so that writers never
    queue behind one another for the end of the chain.
    """

    at = models.DateTimeField(db_default=Now(), editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.DO_NOTHING, null=True, db_constraint=False)
    key = models.ForeignKey("cdp.ApiKey", models.DO_NOTHING, null=True, db_constraint=False)
    actor = models.CharField(max_length=200, help_text="The actor's name at the time.")
    action = models.CharField(max_length=60, help_text="Dotted verb, for example profile.merge.")
    subject = models.CharField(max_length=60, blank=True, help_text="What it was done to: profile:48211.")
    detail = models.JSONField(default=dict, help_text="Ids, counts and reasons; never personal data.")
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=36, blank=True)
    sealed = models.PositiveBigIntegerField(null=True, unique=True, help_text="Place in the chain, from 1.")
    digest = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        default_permissions = ()
        permissions = [("view_auditentry", "Can view the audit log")]
        indexes = [
            models.Index(fields=["subject", "-id"], name="audit_by_subject"),
            models.Index(fields=["user", "-id"], name="audit_by_user"),
            models.Index(fields=["id"], name="audit_unsealed", condition=models.Q(sealed__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.subject}"
