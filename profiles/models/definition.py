"""What staff define: sources, write keys, identifier types, custom attributes."""

import re
import secrets

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower, Now

# Numbers called so count something, and so add up: loyalty_points, visitCount, credits.
_COUNTER = re.compile(
    r"(?:^|_)(?i:points?|count|counter|credits?)$|(?<=[a-z0-9])(?:Points?|Count|Counter|Credits?)$"
)


def new_secret() -> str:
    return secrets.token_hex(32)


class Source(models.Model):
    """One row is one system that sends data, or one way to enter it. One per channel ships (profiles/builtin.py).

    Everything from ``main_type`` on is how its tracking calls are read; sources of other channels ignore it.
    """

    class Channel(models.TextChoices):
        WEB = "web", "Web tracking"
        API = "api", "API"
        IMPORT = "import", "Import"
        STAFF = "staff", "Staff"
        SYSTEM = "system", "System"

    class SchemaMode(models.TextChoices):
        OBSERVE = "observe", "Observe: store the event, report nothing"
        WARN = "warn", "Warn: store the event, report what is wrong"
        QUARANTINE = "quarantine", "Quarantine: keep the event under Rejected until it is repaired"
        REJECT = "reject", "Reject: reject the event; it can still be repaired under Rejected"

    id = models.SmallAutoField(primary_key=True)
    name = models.CharField(max_length=60)
    channel = models.CharField(max_length=10, choices=Channel, db_column="door")
    is_builtin = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    main_type = models.ForeignKey(
        "profiles.IdentifierType",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="userId is a",
        help_text="The identifier type its userId is kept as; empty for customer_id.",
    )
    identifies_by_email = models.BooleanField(
        "an e-mail identifies",
        default=True,
        help_text="Off: traits.email of an identify call is stored as an attribute and for contact only; it merges nobody.",
    )
    needs_confirmation = models.BooleanField(
        "double opt-in",
        default=False,
        help_text="E-mails arrive unverified and identify nobody until a confirm call.",
    )
    needs_user_hash = models.BooleanField(
        "userId must be signed",
        default=False,
        help_text="A browser's userId counts only with context.userHash, which your server renders.",
    )
    merges_recognized = models.BooleanField(
        "may merge recognized people",
        default=False,
        help_text="On: an alias call of its server merges two recognized people. Off: it suggests them as duplicates.",
    )
    adopts_attributes = models.BooleanField(
        "unknown traits become attributes",
        default=True,
        help_text="Off: unknown traits are stored only with their event.",
    )
    allowed_origins = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        help_text="Sites whose pages may send data with its browser keys, like https://shop.example.com; empty for any.",
    )
    schema_mode = models.CharField(
        "events that break their schema",
        max_length=10,
        choices=SchemaMode,
        default=SchemaMode.OBSERVE,
    )
    merges_per_hour = models.PositiveIntegerField(
        "automatic merges per hour",
        default=1000,
        help_text="More than this wait for a decision.",
    )
    # Signs user ids. After a rotation the one before is accepted, too, for a while (profiles/tracking/sources/signing_secrets.py).
    hash_secret = models.CharField(max_length=64, default=new_secret, editable=False)
    hash_secret_since = models.DateTimeField(db_default=Now(), editable=False)
    hash_secret_used_at = models.DateTimeField(null=True, editable=False, help_text="To the hour.")
    old_hash_secret = models.CharField(max_length=64, blank=True, default="", editable=False)
    old_hash_secret_until = models.DateTimeField(
        null=True, editable=False, help_text="Empty: until it is revoked."
    )
    old_hash_secret_used_at = models.DateTimeField(null=True, editable=False, help_text="To the hour.")

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(Lower("name"), name="source_name_once")]

    def __str__(self) -> str:
        return self.name


class WriteKey(models.Model):
    """One row is one key by which a sender says which source it writes for; only its SHA-256 is kept.

    A *web* key stands in pages for everybody to read, so it may only write; a *server* key is a secret.
    """

    class Kind(models.TextChoices):
        WEB = "web", "Web: public, visible in pages"
        SERVER = "server", "Server: secret"

    source = models.ForeignKey(Source, models.CASCADE, related_name="write_keys")
    kind = models.CharField(max_length=6, choices=Kind)
    prefix = models.CharField(
        max_length=12, editable=False, help_text="The first characters, to recognize the key."
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the hour.")
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="After a rotation the old key works until then."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.source} ({self.prefix}…)"


class IdentifierType(models.Model):
    """One row is one kind of value that can identify a profile."""

    class Strength(models.TextChoices):
        HARD = "hard", "Hard: belongs to one person"
        SOFT = "soft", "Soft: a browser or device"

    class Normalizer(models.TextChoices):
        EMAIL = "email", "E-mail"
        PHONE = "phone", "Phone (E.164)"
        LOWER = "lower", "Lower case"
        EXACT = "exact", "Exactly as sent"

    id = models.SmallAutoField(primary_key=True)
    name = models.CharField(
        max_length=40,
        validators=[
            RegexValidator(r"^[a-z][a-z0-9_]*$", "Use small letters, digits and _, starting with a letter.")
        ],
    )
    label = models.CharField(max_length=60, blank=True)
    strength = models.CharField(max_length=4, choices=Strength, default=Strength.HARD)
    is_unique = models.BooleanField(
        "identifies one profile",
        default=True,
        help_text="Off: for contact only. Families may share it; it identifies nobody.",
    )
    is_main = models.BooleanField(
        default=False,
        help_text="A profile with one of these is a recognized person, not an anonymous visitor.",
    )
    priority = models.PositiveSmallIntegerField(
        default=10,
        help_text="1 is the strongest; it decides when two identifiers belong to different people.",
    )
    normalizer = models.CharField(max_length=6, choices=Normalizer, default=Normalizer.EXACT)
    max_per_profile = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="How many different values one person may have; empty for any number.",
    )
    proves_two_people = models.BooleanField(
        "different values prove two people",
        default=False,
        help_text="On: two with different values are never suggested as one person, as with a national id. Off: duplicates"
        " often have two customer numbers, so different ones rule nothing out.",
    )
    blocked_values = ArrayField(
        models.CharField(max_length=255),
        default=list,
        blank=True,
        help_text="Such a value is ignored, with a warning.",
    )
    blocked_patterns = ArrayField(
        models.CharField(max_length=255),
        default=list,
        blank=True,
        help_text="Regular expressions that must match the whole value.",
    )
    is_builtin = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["priority", "name"]
        constraints = [models.UniqueConstraint(fields=["name"], name="identifier_type_name_once")]

    def __str__(self) -> str:
        return self.label or self.name


class AttributeDefinition(models.Model):
    """One row is one registered custom attribute; its values live in ``Profile.attributes``."""

    class Type(models.TextChoices):
        TEXT = "text", "Text"
        NUMBER = "number", "Number"
        BOOLEAN = "boolean", "Yes or no"
        DATE = "date", "Date"
        DATETIME = "datetime", "Date and time"
        CHOICE = "choice", "One of a list"
        LIST = "list", "List of texts"

    class MergeRule(models.TextChoices):
        """What two different values become when two profiles are merged."""

        FILL = "fill", "Keep the value of the profile that is kept"
        NEWEST = "newest", "Take the newer value"
        SUM = "sum", "Add the two numbers"
        LARGEST = "largest", "Take the larger value"
        SMALLEST = "smallest", "Take the smaller value"
        UNION = "union", "Unite the two lists"

    class Sensitivity(models.TextChoices):
        NONE = "none", "Not personal"
        PERSONAL = "personal", "Personal"
        SENSITIVE = "sensitive", "Sensitive (health, belief, finances …)"

    name = models.CharField(
        max_length=60,
        help_text="As integrations send it. It cannot be changed once used; the label can.",
        validators=[
            RegexValidator(r"^[A-Za-z][A-Za-z0-9_]*$", "Use letters, digits and _, starting with a letter.")
        ],
    )
    label = models.CharField(max_length=80, blank=True)
    type = models.CharField(max_length=10, choices=Type, default=Type.TEXT)
    description = models.TextField(blank=True)
    sensitivity = models.CharField(max_length=10, choices=Sensitivity, default=Sensitivity.PERSONAL)
    choices = ArrayField(
        models.CharField(max_length=200), default=list, blank=True, verbose_name="allowed values"
    )
    merge_rule = models.CharField(
        "when two profiles are merged",
        max_length=8,
        choices=MergeRule,
        blank=True,
        default="",
        help_text="Where both have a value; an empty one is always filled from the other. As usual: lists are united, points and"
        " counters added up, and of other values the profile that is kept keeps its own.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "attribute"
        ordering = ["name"]
        constraints = [models.UniqueConstraint(Lower("name"), name="attribute_name_once")]

    def __str__(self) -> str:
        return self.label or self.name

    @property
    def usual_merge_rule(self) -> str:
        """The rule where nobody chose one: lists are united, points and counters added up."""
        if self.type == self.Type.LIST:
            return self.MergeRule.UNION
        is_counter = self.type == self.Type.NUMBER and _COUNTER.search(self.name)
        return self.MergeRule.SUM if is_counter else self.MergeRule.FILL

    @property
    def rule(self) -> str:
        """The merge rule that counts."""
        return self.merge_rule or self.usual_merge_rule
