from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class IdentifierQuerySet(models.QuerySet["Identifier"]):
    def resolving(self) -> "IdentifierQuerySet":
        return self.filter(resolves=True)

    def of_profiles(self, *roots: int) -> "IdentifierQuerySet":
        """Every identifier of the roots and of profiles merged into them."""
        return self.filter(profile__canonical_id__in=roots)


class Identifier(models.Model):
    """One row is one value of a profile, kept for ever on the profile it arrived at.

    ``resolves`` says whether the value identifies this profile: its type is unique, it is not pending
    verification, not released by a deletion, and not the weaker side of a clash (kept as a contact value).
    """

    # No foreign key checks on small tables of ours: three per row were half of what writing identifiers cost
    # (26 µs a row). PROTECT keeps the rows, ``doctor`` looks for strays; the one to the profile stays.
    type = models.ForeignKey(
        "profiles.IdentifierType", models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    value = models.CharField(max_length=255, help_text="Normalized.")
    raw = models.CharField(max_length=320, blank=True, help_text="As it was sent, when that differs.")
    profile = models.ForeignKey(
        "profiles.Profile", models.CASCADE, related_name="identifiers", db_index=False
    )
    source = models.ForeignKey(
        "profiles.Source", models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    resolves = models.BooleanField(default=True, db_default=True)
    is_verified = models.BooleanField(default=False, db_default=False)
    is_pending = models.BooleanField(
        default=False, db_default=False, help_text="Waits for its owner to confirm it (double opt-in)."
    )
    first_seen_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())

    objects = IdentifierQuerySet.as_manager()

    class Meta:
        ordering = ["type__priority", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["type", "value"], condition=Q(resolves=True), name="identifier_leads_to_one_profile"
            ),
            # Also the index for a profile's identifiers.
            models.UniqueConstraint(fields=["profile", "type", "value"], name="identifier_once_per_profile"),
        ]
        indexes = [
            # The search box: a value or its beginning, of any type; exact look-ups of contact values.
            models.Index(OpClass(F("value"), name="text_pattern_ops"), name="identifier_by_value"),
            # The list of those that wait, and the share that is confirmed; small beside the table.
            models.Index(fields=["id"], name="identifier_pending", condition=Q(is_pending=True)),
            models.Index(
                fields=["source", "first_seen_at"],
                name="identifier_opt_in",
                condition=Q(is_pending=True) | Q(is_verified=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type.name}:{self.value}"
