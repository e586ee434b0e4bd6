"""Views of the people list that staff keep: filters, order and columns under a name."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now


def keep_shared(collector: Any, field: Any, views: Any, using: str) -> None:
    """``on_delete`` of a view's owner: what the team uses stays and has no owner, what was theirs alone goes."""
    models.SET_NULL(collector, field, views.filter(is_shared=True), using)
    models.CASCADE(collector, field, views.filter(is_shared=False), using)


class SavedView(models.Model):
    """One row is one view of the people list: its owner's, or, where it is shared, everybody's.

    ``query`` is the list's address without its place: filters and ``sort``, URL-encoded. Whether its values still
    mean something (a tag, an attribute) is seen when it is opened.
    """

    name = models.CharField(
        max_length=60,
        validators=[RegexValidator(r"^[^\x00-\x1f\x7f]+$", "A name has no control characters.")],
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        keep_shared,
        null=True,
        related_name="+",
        help_text="Empty when an API key made it, or when its owner is gone.",
    )
    is_shared = models.BooleanField(default=False)
    query = models.TextField(blank=True)
    columns = ArrayField(
        models.CharField(max_length=80),
        default=list,
        help_text="Empty: those each person chose for the list.",
    )
    names_people = models.BooleanField(
        default=False,
        help_text="A text in it may name somebody, so it is shared with those who see personal data alone.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name", "id"]
        default_permissions = ()
        permissions = [
            ("save_view", "Can save views of the people list"),
            ("share_view", "Can share views with the team"),
        ]
        constraints = [
            models.UniqueConstraint("owner", Lower("name"), name="saved_view_name_once"),
            models.CheckConstraint(
                condition=Q(is_shared=True) | Q(owner__isnull=False), name="saved_view_is_somebodys"
            ),
        ]

    def __str__(self) -> str:
        return self.name
