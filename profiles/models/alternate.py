"""Values that came in for a field of a profile and did not become its own."""

from django.db import models
from django.db.models import F, TextField
from django.db.models.functions import MD5, Cast, Now


class Alternate(models.Model):
    """One row is one value that lost to the value the profile has, with the file and line it came from.

    It belongs to the profile it arrived at, so that a merge and its undo carry it along. A value that lost in a merge
    has no row here: the merged profile's own row keeps it.
    """

    profile = models.ForeignKey("profiles.Profile", models.CASCADE, related_name="+", db_index=False)
    field = models.CharField(max_length=80, help_text="As in the journal: city, attributes.plan.")
    value = models.JSONField()
    source = models.ForeignKey("profiles.Source", models.PROTECT, related_name="+", db_index=False)
    import_id = models.BigIntegerField(null=True, help_text="The import it came with, if any.")
    line = models.BigIntegerField(null=True, help_text="The line of that import's file.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        default_permissions = ()
        constraints = [
            # A file imported again brings the same values again. Also the index by profile.
            models.UniqueConstraint(
                F("profile"), F("field"), MD5(Cast("value", TextField())), name="alternate_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.field} of #{self.profile_id}"
