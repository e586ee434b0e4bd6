"""Decisions of people about messages and uses of their data, and the lists of channels and purposes they are about."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

_NAME = RegexValidator(r"^[a-z][a-z0-9_]*$", "Use small letters, digits and _, starting with a letter.")


class ConsentWord(models.Model):
    """A channel or a purpose that a decision may name. Decisions keep the name as text, so it never changes."""

    label = models.CharField(
        max_length=80, blank=True, help_text="What people read, for example “Newsletter”."
    )
    synonyms = ArrayField(
        models.CharField(max_length=60),
        default=list,
        blank=True,
        verbose_name="other spellings",
        help_text="Words that forms, files and calls may use for it. Case, spaces, hyphens and _ do not count.",
    )
    archived_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Since when nobody can be asked for it any more; a no is still taken.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    name: "models.CharField[str, str]"

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.label or self.name)


class ConsentChannel(ConsentWord):
    """One row is one way to reach somebody: e-mail, SMS, phone calls."""

    class Contact(models.TextChoices):
        EMAIL = "email", "E-mail address"
        PHONE = "phone", "Phone number"
        NONE = "none", "Neither: post, push messages"

    id = models.SmallAutoField(primary_key=True)
    name = models.CharField(
        max_length=30,
        validators=[_NAME],
        help_text="As integrations send it, for example “email”. It cannot be changed later; the label can.",
    )
    contact = models.CharField(
        "reaches them by",
        max_length=5,
        choices=Contact,
        default=Contact.NONE,
        help_text="A no counts for this address, whoever else has it.",
    )

    class Meta(ConsentWord.Meta):
        verbose_name = "consent channel"
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["name"], name="consent_channel_name_once")]


class ConsentPurpose(ConsentWord):
    """One row is one thing people are asked to agree to: newsletter, marketing, profiling."""

    id = models.SmallAutoField(primary_key=True)
    name = models.CharField(
        max_length=60,
        validators=[_NAME],
        help_text="As integrations send it, for example “newsletter”. It cannot be changed later; the label can.",
    )

    class Meta(ConsentWord.Meta):
        verbose_name = "consent purpose"
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["name"], name="consent_purpose_name_once")]


class Consent(models.Model):
    """One row is one decision a person took; the ledger only grows.

    What holds now, per channel and purpose over all members of a profile: the latest explicit decision;
    a tie or an unknown time (``at`` empty) means *no*. A no counts for ``address``, whoever else has it
    (profiles/consent/reachable.py).
    """

    class State(models.TextChoices):
        GRANTED = "granted", "Granted"
        WITHDRAWN = "withdrawn", "Withdrawn"

    class Reason(models.TextChoices):
        """Why a yes is recorded for somebody who had said no."""

        WRITING = "asked_in_writing", "They asked for it again in writing"
        PHONE = "asked_by_phone", "They asked for it again on the phone"
        PERSON = "asked_in_person", "They asked for it again in person"
        DOUBLE_OPT_IN = "double_opt_in", "They confirmed it by double opt-in"
        MISTAKE = "mistake", "The no was recorded by mistake"
        OTHER = "other", "Another reason, which the proof names"

    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="consents", db_index=False)
    channel = models.CharField(max_length=30, help_text="The name of a ConsentChannel.")
    purpose = models.CharField(max_length=60, help_text="The name of a ConsentPurpose.")
    state = models.CharField(max_length=10, choices=State)
    at = models.DateTimeField(null=True, help_text="When the person decided; empty when nobody knows.")
    wording = models.CharField(max_length=200, blank=True, help_text="Version of the text they agreed to.")
    reason = models.CharField(
        max_length=20, choices=Reason, blank=True, default="", db_default="", help_text="Of a yes after a no."
    )
    proof = models.JSONField(default=dict, help_text="Form address, import line, double opt-in …")
    address = models.CharField(
        max_length=320,
        blank=True,
        default="",
        db_default="",
        help_text="The e-mail address or phone number the person had then, by the channel; empty when none.",
    )
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
        "cdp.ApiKey",
        models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        permissions = [("regrant_consent", "Can record a yes of somebody who said no")]
        indexes = [
            models.Index(fields=["profile", "channel", "purpose"], name="consent_of_profile"),
            # Whether somebody said no about an address that others have, too.
            models.Index(
                fields=["address", "channel", "purpose"],
                name="consent_no_of_address",
                condition=Q(state="withdrawn") & ~Q(address=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel}/{self.purpose}={self.state}"
