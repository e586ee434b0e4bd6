"""Segments and the versions of their rules."""

from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now


class SegmentQuerySet(models.QuerySet["Segment"]):
    """Sets of segments. Each adjective is one WHERE; none causes a query."""

    def kept(self) -> "SegmentQuerySet":
        """Whose members are kept up to date by their rule."""
        return self.filter(kind=Segment.Kind.RULE, state=Segment.State.LIVE)

    def in_use(self) -> "SegmentQuerySet":
        return self.exclude(state=Segment.State.ARCHIVED)


class Segment(models.Model):
    """One row is one segment: surviving profiles by a rule, or chosen by hand.

    ``rules`` is the rule as API.md writes it (segments/rules/parse.py), of the version in force. Of a segment by hand it
    is empty. A *broken* one (a deleted attribute, tag or segment) keeps the members it had, and ``problem`` says why.
    """

    class Kind(models.TextChoices):
        RULE = "rule", "By rule"
        STATIC = "static", "By hand"

    class State(models.TextChoices):
        FILLING = "filling", "Being filled"
        LIVE = "live", "Live"
        BROKEN = "broken", "Broken: not kept up to date"
        ARCHIVED = "archived", "Archived"

    name = models.CharField(
        max_length=120,
        validators=[RegexValidator(r"^[^\x00-\x1f\x7f]+$", "A name has no control characters.")],
    )
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=6, choices=Kind, default=Kind.RULE)
    state = models.CharField(max_length=8, choices=State, default=State.FILLING)
    problem = models.TextField(blank=True, help_text="Why it is broken, as a sentence.")
    rules = models.JSONField(default=dict, blank=True)
    version = models.PositiveIntegerField(default=1)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who is told when it breaks. Empty when an API key made it.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    filled_at = models.DateTimeField(
        null=True, editable=False, help_text="As of when everybody was last compared with the rule."
    )

    objects = SegmentQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(Lower("name"), name="segment_name_once", condition=~Q(state="archived")),
            models.CheckConstraint(
                condition=Q(kind="rule") | Q(rules={}), name="segment_by_hand_has_no_rule"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_static(self) -> bool:
        return self.kind == self.Kind.STATIC


class SegmentVersion(models.Model):
    """One row is one rule a segment had, from ``created_at`` on. ``text`` is the rule in words, as it was then.

    ``entered`` and ``left`` count who came in and went out by the edit; empty until it is carried out.
    """

    segment = models.ForeignKey(Segment, models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    rules: Any = models.JSONField()
    text = models.TextField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    entered = models.PositiveBigIntegerField(null=True)
    left = models.PositiveBigIntegerField(null=True)

    class Meta:
        ordering = ["segment", "-version"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["segment", "version"], name="segment_version_once")]

    def __str__(self) -> str:
        return f"{self.segment} version {self.version}"

    @property
    def author(self) -> str:
        """Who saved it, for sentences. Load ``user`` and ``key`` with it."""
        if self.user:
            return self.user.get_username()
        return self.key.name if self.key else "the system"
