"""Profiles, with the canonical pointer that merging moves, and their further addresses."""

from django.contrib.postgres.indexes import BrinIndex, GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.db import connection, models
from django.db.models import F, Func, Q
from django.db.models.functions import Now
from django.db.models.lookups import Exact

from profiles.models.search import SearchText

# The pending list of a GIN index is merged by whichever statement fills it: with PostgreSQL's 4 MB some tracking call
# took 0.9 s beside an import.
PENDING_KB = 128


class ProfileQuerySet(models.QuerySet["Profile"]):
    """Sets of profiles. Each adjective is one WHERE; none causes a query."""

    def live(self) -> "ProfileQuerySet":
        """Surviving profiles in use: not merged away, deleted, erased or anonymized."""
        return self.filter(status=Profile.Status.LIVE)

    def recognized(self) -> "ProfileQuerySet":
        return self.filter(is_recognized=True)

    def anonymous(self) -> "ProfileQuerySet":
        return self.filter(is_recognized=False)

    def members_of(self, *roots: int) -> "ProfileQuerySet":
        """The roots and every profile merged into them (canonical is flat: one hop)."""
        return self.filter(canonical_id__in=roots)

    def tagged(self, name: str) -> "ProfileQuerySet":
        """Roots where any member has the tag."""
        from profiles.models.tag import ProfileTag

        links = ProfileTag.objects.filter(tag__name__iexact=name)
        return self.filter(pk__in=links.values("profile__canonical_id"))


class Profile(models.Model):
    """One row is one person as some source first knew them: a profile.

    ``canonical`` points at the surviving profile: at itself while alive, at the winner's root once merged
    (always flat: a root, never a chain). Events, identifiers, tags and consents keep the profile they
    arrived at; what a profile has is what its *members* (rows with the same canonical) have. So a merge
    moves one pointer per member, and any merge can be undone exactly.
    The root's typed columns and ``attributes`` carry the merged view; a merged row keeps its own values.
    """

    class Status(models.TextChoices):
        LIVE = "live", "Live"
        MERGED = "merged", "Merged away"
        DELETED = "deleted", "Deleted"
        ANONYMIZED = "anonymized", "Anonymized"
        ERASED = "erased", "Erased"

    # The default attributes in the order of the card.
    FIELDS = (
        "first_name",
        "last_name",
        "email",
        "phone",
        "street",
        "postcode",
        "city",
        "state",
        "country",
        "birth_date",
        "gender",
        "language",
    )

    canonical = models.ForeignKey("self", models.DO_NOTHING, related_name="members", editable=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.LIVE, db_default=Status.LIVE)
    is_recognized = models.BooleanField(
        default=False, db_default=False, help_text="Holds a hard identifier of a main type (on any member)."
    )
    is_locked = models.BooleanField("do not merge", default=False, db_default=False)

    first_name = models.CharField(max_length=200, null=True, blank=True)
    last_name = models.CharField(max_length=200, null=True, blank=True)
    email = models.CharField("e-mail", max_length=320, null=True, blank=True)
    phone = models.CharField(max_length=40, null=True, blank=True)
    street = models.CharField(max_length=300, null=True, blank=True)
    postcode = models.CharField(max_length=20, null=True, blank=True)
    city = models.CharField(max_length=200, null=True, blank=True)
    state = models.CharField("state or region", max_length=200, null=True, blank=True)
    country = models.CharField(max_length=2, null=True, blank=True, help_text="ISO 3166 alpha-2.")
    birth_date = models.DateField(null=True, blank=True)
    gender = models.CharField(max_length=50, null=True, blank=True)
    language = models.CharField(max_length=16, null=True, blank=True)
    attributes = models.JSONField(
        default=dict, db_default={}, help_text="Registered custom attributes by name."
    )

    source = models.ForeignKey("profiles.Source", models.PROTECT, related_name="+", help_text="Who made it.")
    version = models.PositiveIntegerField(default=1, db_default=1, help_text="Grows with every change.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    first_seen_at = models.DateTimeField(null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    search = models.GeneratedField(
        expression=SearchText("first_name", "last_name", "email", "phone", "city", "postcode"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    objects = ProfileQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        permissions = [
            ("view_pii", "Can see personal data unmasked"),
            ("merge_profile", "Can merge profiles"),
            ("unmerge_profile", "Can undo a merge"),
            ("export_profile", "Can export one profile (GDPR)"),
            ("bulk_export", "Can export many profiles"),
            ("bulk_update", "Can change many profiles at once"),
            ("bulk_delete", "Can delete many profiles at once"),
            ("view_deleted", "Can see deleted profiles"),
            ("restore_profile", "Can bring a deleted profile back"),
            ("bulk_restore", "Can bring many deleted profiles back at once"),
            ("erase_profile", "Can erase a person for ever"),
            ("message_profile", "Can send a message to a person"),
        ]
        constraints = [
            models.CheckConstraint(
                name="profile_live_is_its_own_root",
                condition=~Q(status__in=["live", "anonymized"]) | Q(canonical=F("id")),
            ),
            models.CheckConstraint(
                name="profile_merged_points_elsewhere", condition=~Q(status="merged") | ~Q(canonical=F("id"))
            ),
            models.CheckConstraint(
                name="profile_attributes_is_an_object",
                condition=Exact(
                    Func("attributes", function="jsonb_typeof", output_field=models.TextField()), "object"
                ),
            ),
        ]
        indexes = [
            GinIndex(fields=["search"], name="profile_search", gin_pending_list_limit=PENDING_KB),
            GinIndex(
                OpClass(F("attributes"), name="jsonb_path_ops"),
                name="profile_attributes",
                gin_pending_list_limit=PENDING_KB,
            ),
            # New profiles per day, on the dashboard: a range of the newest pages, a few kilobytes in all.
            BrinIndex(fields=["created_at"], name="profile_by_created", autosummarize=True),
            # Members of a root.
            models.Index(fields=["canonical"], name="profile_merged_into", condition=~Q(canonical=F("id"))),
            models.Index(
                fields=["-last_seen_at", "-id"], name="profile_by_last_seen", condition=Q(status="live")
            ),
            models.Index(fields=["country", "-id"], name="profile_by_country", condition=Q(status="live")),
            models.Index(
                fields=["-id"], name="profile_recognized", condition=Q(status="live", is_recognized=True)
            ),
            models.Index(
                fields=["-id"], name="profile_anonymous", condition=Q(status="live", is_recognized=False)
            ),
            models.Index(
                fields=["-id"], name="profile_not_live", condition=Q(status__in=["deleted", "erased"])
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        """Take the id first, so that ``canonical`` can point at the row itself in one INSERT."""
        if self.pk is None and self.canonical_id is None:
            self.pk = self.canonical_id = next_profile_id()
            kwargs["force_insert"] = True
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        full = " ".join(part for part in (self.first_name, self.last_name) if part)
        return (
            full
            or self.email
            or self.phone
            or f"{'Profile' if self.is_recognized else 'Anonymous'} #{self.pk}"
        )

    @property
    def initials(self) -> str:
        parts = [part[0] for part in (self.first_name, self.last_name) if part]
        return "".join(parts).upper() or (self.email or "?")[0].upper()

    @property
    def is_live(self) -> bool:
        return self.status == self.Status.LIVE

    @property
    def type(self) -> str:
        return "recognized" if self.is_recognized else "anonymous"

    @property
    def root_id(self) -> int:
        return self.canonical_id


def next_profile_id() -> int:
    """The next id of the profile sequence. One query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('profiles_profile', 'id'))")
        return int(cursor.fetchone()[0])


class Address(models.Model):
    """One row is one further postal address of a profile; the main one is in the profile's own columns."""

    profile = models.ForeignKey(Profile, models.CASCADE, related_name="addresses")
    label = models.CharField(max_length=50, blank=True, help_text="For example work, billing, parents.")
    street = models.CharField(max_length=300, blank=True)
    postcode = models.CharField(max_length=20, blank=True)
    city = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=200, blank=True)
    country = models.CharField(max_length=2, blank=True)
    source = models.ForeignKey("profiles.Source", models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "addresses"
        ordering = ["id"]

    def __str__(self) -> str:
        return ", ".join(part for part in (self.street, self.postcode, self.city, self.country) if part)
