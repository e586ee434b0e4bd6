"""Profiles that may be one person: pairs, the cases they are reviewed in, and the rules."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Tier(models.TextChoices):
    """How sure it is; tiers are never mixed. ``related`` is a household or company: offered as that, never as a merge."""

    CERTAIN = "certain", "Certain"
    PROBABLE = "probable", "Probable"
    POSSIBLE = "possible", "Possible"
    RELATED = "related", "Related"


class DuplicatePair(models.Model):
    """One row is one pair of profiles that may be one person, and what people decided about it.

    ``a`` is always the smaller id. A verdict *not a duplicate* is respected by everything that merges.
    ``reasons`` is why it was suggested as data came in (``[{code, type, value, source, text}]``), ``evidence`` the
    model's (``[[field, level, bits]]``; an interaction has no field). Evidence has no values: they are read from the
    profiles when it is displayed, so that an erasure leaves nothing behind.
    """

    class Verdict(models.TextChoices):
        OPEN = "open", "Open"
        LATER = "later", "Later"
        MERGED = "merged", "Merged"
        NOT_DUPLICATE = "not_duplicate", "Not a duplicate"

    class FoundBy(models.TextChoices):
        SHARED_VALUE = "door", "A value both have, when it arrived"
        SCAN = "scan", "A scan of everybody"
        CHANGE = "change", "A change to one of them"
        PERSON = "person", "A person"

    a = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="+", db_index=False)
    b = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="+")
    verdict = models.CharField(max_length=14, choices=Verdict, default=Verdict.OPEN, db_default=Verdict.OPEN)
    tier = models.CharField(max_length=8, choices=Tier, default=Tier.POSSIBLE, db_default=Tier.POSSIBLE)
    score = models.FloatField(
        default=0.0, db_default=0.0, help_text="In bits: 0 is as likely as not, one more doubles the odds."
    )
    rule = models.CharField(
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text="What makes it certain, or why it is only possible.",
    )
    veto = models.CharField(
        max_length=40, blank=True, default="", db_default="", help_text="What forbids a merge."
    )
    through = models.ForeignKey(
        "profiles.Profile",
        models.CASCADE,
        null=True,
        related_name="+",
        db_index=False,
        help_text="The third profile that both probably are, where the two have little else in common.",
    )
    reasons = models.JSONField(default=list, db_default=[])
    evidence = models.JSONField(default=list, db_default=[])
    model_version = models.CharField(max_length=20, blank=True, default="", db_default="")
    found_by = models.CharField(
        max_length=6, choices=FoundBy, default=FoundBy.SHARED_VALUE, db_default=FoundBy.SHARED_VALUE
    )
    case = models.ForeignKey(
        "profiles.DuplicateCase", models.SET_NULL, null=True, related_name="pairs", db_index=False
    )
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    later_until = models.DateTimeField(null=True, help_text="Out of the queue until then.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    scored_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view", "change")
        permissions = [("scan_duplicates", "Can scan everybody for duplicates")]
        constraints = [
            models.UniqueConstraint(fields=["a", "b"], name="duplicate_pair_once"),
            models.CheckConstraint(name="duplicate_pair_in_order", condition=Q(a__lt=F("b"))),
        ]
        indexes = [
            # The queue: undecided pairs of a tier, the surest first.
            models.Index(
                fields=["tier", "-score", "-id"],
                name="duplicate_pair_queue",
                condition=Q(verdict__in=["open", "later"]),
            ),
            models.Index(fields=["case"], name="duplicate_pair_of_case", condition=Q(case__isnull=False)),
            models.Index(
                fields=["decided_at"], name="duplicate_pair_decided", condition=Q(decided_at__isnull=False)
            ),
            models.Index(fields=["created_at"], name="duplicate_pair_by_time"),
            models.Index(
                fields=["through"], name="duplicate_pair_through", condition=Q(through__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.a_id} and #{self.b_id}: {self.get_verdict_display()}"


class DuplicateCase(models.Model):
    """One row is one group reviewed as a whole: people linked by pairs, or everybody who has one shared value.

    A *people* case is a connected group of certain and probable pairs; ``anchor`` is its smallest profile id and
    names it across scans. ``problem`` is why it is never merged without a person ("" when it may be).
    A *shared value* case (a junk e-mail, a company's phone) names its members only by number, up to 100 of them.
    """

    class Kind(models.TextChoices):
        PEOPLE = "people", "One person?"
        SHARED_VALUE = "shared_value", "A value too many share"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        MERGED = "merged", "Merged"
        NOT_DUPLICATES = "not_duplicates", "Not duplicates"
        BLOCKED = "blocked", "Value blocked"
        SHARED = "shared", "Left as shared"
        GONE = "gone", "No longer found"

    kind = models.CharField(max_length=12, choices=Kind, default=Kind.PEOPLE)
    state = models.CharField(max_length=14, choices=State, default=State.OPEN, db_default=State.OPEN)
    anchor = models.BigIntegerField(null=True)
    members = ArrayField(models.BigIntegerField(), default=list)
    size = models.PositiveIntegerField(default=0, help_text="How many profiles, also beyond those named.")
    tier = models.CharField(
        max_length=8, choices=Tier, default=Tier.PROBABLE, help_text="Of its weakest link."
    )
    score = models.FloatField(default=0.0, help_text="Of its weakest link, in bits.")
    weakest = models.ForeignKey(
        DuplicatePair,
        models.SET_NULL,
        null=True,
        related_name="+",
        help_text="The suspicious link.",
    )
    problem = models.CharField(max_length=200, blank=True, default="")
    type = models.ForeignKey(
        "profiles.IdentifierType", models.CASCADE, null=True, related_name="+", db_index=False
    )
    value = models.CharField(
        max_length=320, blank=True, default="", help_text="What a shared value case is about."
    )
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view", "change")
        constraints = [
            models.UniqueConstraint(
                fields=["anchor"],
                condition=Q(kind="people", state="open"),
                name="duplicate_case_once",
            ),
            models.UniqueConstraint(
                fields=["type", "value"],
                condition=Q(kind="shared_value", state__in=["open", "shared"]),
                name="duplicate_case_of_value_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["kind", "-score", "-id"], name="duplicate_case_queue", condition=Q(state="open")
            ),
            GinIndex(fields=["members"], name="duplicate_case_members", condition=Q(state="open")),
        ]

    def __str__(self) -> str:
        if self.kind == self.Kind.SHARED_VALUE:
            return f"{self.value}: {self.size} profiles"
        return f"Case of #{self.anchor}: {self.size} profiles"


class DuplicatePolicy(models.Model):
    """The one row of rules people set for duplicates, and what the product learned from their decisions.

    A pair's probability is ``1 / (1 + 2 ** -(calibration_slope * score + calibration_offset))``.
    """

    auto_merge = models.BooleanField(
        "merge certain pairs automatically",
        default=False,
        help_text="Every such merge can be undone, also all at once.",
    )
    auto_merge_cap = models.PositiveIntegerField(
        "at most per hour", default=100, validators=[MinValueValidator(1), MaxValueValidator(10_000)]
    )
    report_to = ArrayField(
        models.EmailField(),
        default=list,
        blank=True,
        verbose_name="weekly report to",
        help_text="One address per line.",
    )
    reported_at = models.DateTimeField(null=True, editable=False)
    calibration_slope = models.FloatField(db_column="line_slope", default=1.0, editable=False)
    calibration_offset = models.FloatField(db_column="line_offset", default=0.0, editable=False)
    calibration_decisions = models.PositiveIntegerField(
        db_column="line_decisions",
        default=0,
        editable=False,
        help_text="How many decisions the calibration was fitted on.",
    )
    fitted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name_plural = "duplicate policy"
        default_permissions = ("view", "change")
        constraints = [models.CheckConstraint(name="duplicate_policy_one_row", condition=Q(pk=1))]

    def __str__(self) -> str:
        return "Duplicate policy"

    @classmethod
    def current(cls) -> "DuplicatePolicy":
        """The row; with what ships while nobody has set anything."""
        return cls.objects.filter(pk=1).first() or cls(pk=1)
