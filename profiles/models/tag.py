from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower, Now


class Tag(models.Model):
    """One row is one label staff put on profiles."""

    class Color(models.TextChoices):
        GRAY = "gray", "Gray"
        BLUE = "blue", "Blue"
        GREEN = "green", "Green"
        AMBER = "amber", "Amber"
        RED = "red", "Red"
        VIOLET = "violet", "Violet"

    name = models.CharField(
        max_length=60,
        validators=[RegexValidator(r"^[^,\x00-\x1f]+$", "A tag has no comma and no line break.")],
    )
    color = models.CharField(max_length=10, choices=Color, default=Color.GRAY)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(Lower("name"), name="tag_name_once")]

    def __str__(self) -> str:
        return self.name


class ProfileTag(models.Model):
    """One row is one tag on one profile (on the member it was put on)."""

    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="tag_links", db_index=False)
    tag = models.ForeignKey(Tag, models.CASCADE, related_name="links", db_index=False)
    source = models.ForeignKey(
        "profiles.Source", models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    added_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["profile", "tag"], name="tag_once_per_profile")]
        indexes = [models.Index(fields=["tag", "profile"], name="tagged_profiles")]

    def __str__(self) -> str:
        return f"{self.tag} on #{self.profile_id}"
