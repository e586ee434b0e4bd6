"""What finding duplicates stores: each profile as it is compared, frequent values, and which profiles changed."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Func
from django.db.models.functions import Now


class MatchRow(models.Model):
    """One row is one live profile as it is compared (``profiles.duplicates.scoring.features``), kept by the queue.

    A profile without anything to compare (an anonymous visitor) has none. ``keys`` are what candidates share.
    ``version`` is what rows were built with (``profiles.duplicates.finding.match_rows.version``); a scan builds others anew.
    """

    profile = models.OneToOneField("profiles.Profile", models.CASCADE, primary_key=True, related_name="+")
    first = models.TextField(null=True)
    first_groups = ArrayField(models.IntegerField(), default=list)
    last = models.TextField(null=True)
    last_head = models.TextField(null=True)
    email = models.TextField(null=True)
    mailbox = models.TextField(null=True)
    domain = models.TextField(null=True)
    phone = models.TextField(null=True)
    birth_date = models.TextField(null=True)
    city = models.TextField(null=True)
    street = models.TextField(null=True)
    postcode = models.TextField(null=True)
    emails = ArrayField(models.TextField(), default=list)
    phones = ArrayField(models.TextField(), default=list)
    ids = ArrayField(models.BigIntegerField(), default=list)
    singles = ArrayField(models.BigIntegerField(), default=list)
    keys = ArrayField(models.BigIntegerField(), default=list)
    version = models.IntegerField(default=0, db_default=0)
    built_at = models.DateTimeField(db_default=Now(), help_text="When it last became another.")

    class Meta:
        default_permissions = ()
        # What waits to be put into the index is read by every search: little may wait.
        indexes = [GinIndex(fields=["keys"], name="match_row_keys", gin_pending_list_limit=256)]

    def __str__(self) -> str:
        return f"#{self.profile_id}"


class CurrentTransaction(Func):
    """The number of the transaction a statement is part of."""

    function = "txid_current"
    output_field = models.BigIntegerField()


class MatchQueue(models.Model):
    """One row says that a profile changed in what is compared. Written by triggers, emptied by workers.

    ``xact`` distinguishes the one row of an edit by hand from the thousands of an import's chunk.
    """

    id = models.BigAutoField(primary_key=True)
    profile_id = models.BigIntegerField()
    queued_at = models.DateTimeField(db_default=Now())
    xact = models.BigIntegerField(db_default=CurrentTransaction())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"#{self.profile_id}"


class FrequentValue(models.Model):
    """One row is a value or key that too many profiles share: it makes no candidates and weighs nothing.

    ``field`` is email or phone with its ``value``, or ``key`` with the number of a match key.
    """

    id = models.BigAutoField(primary_key=True)
    field = models.CharField(max_length=5)
    value = models.TextField(blank=True, default="")
    key = models.BigIntegerField(null=True)
    holders = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["key"], name="frequent_key_once"),
            models.UniqueConstraint(
                fields=["field", "value"], condition=models.Q(key__isnull=True), name="frequent_value_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.field} {self.value or self.key}: {self.holders}"


class MatchRarity(models.Model):
    """One row is a name and how much rarer it is than the average one, in bits, as the last scan counted.

    Only names several people have; the value "" stands for all others.
    """

    id = models.BigAutoField(primary_key=True)
    field = models.CharField(max_length=20)
    value = models.TextField()
    bits = models.FloatField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["field", "value"], name="match_rarity_once")]

    def __str__(self) -> str:
        return f"{self.field} {self.value}: {self.bits}"


class MatchBase(models.Model):
    """The one row about the last full scan: how many profiles it compared, with which model, and when."""

    people = models.PositiveIntegerField(default=0)
    pairs = models.PositiveIntegerField(default=0)
    model_version = models.CharField(max_length=20, default="")
    job = models.ForeignKey("cdp.Job", models.SET_NULL, null=True, related_name="+")
    scanned_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(name="match_base_one_row", condition=models.Q(pk=1))]

    def __str__(self) -> str:
        return f"{self.people} people"

    @classmethod
    def current(cls) -> "MatchBase":
        """The row; an empty one while nobody has scanned."""
        return cls.objects.filter(pk=1).first() or cls(pk=1)
