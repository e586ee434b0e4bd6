"""The import of a file, the staged rows its plan consists of, and saved mappings."""

from __future__ import annotations

from io import BufferedReader
from typing import Any, cast

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from cdp.models import Job


def is_identifying(entry: dict[str, Any] | str) -> bool:
    """Whether a column of the mapping goes to an identifier. A phone is none: families share one."""
    to = entry if isinstance(entry, str) else str(entry.get("to", ""))
    return to in ("email", "customer_id", "reference_id") or to.startswith("identifier.")


class Import(models.Model):
    """One row is one uploaded file: from its bytes to planned, applied and undone changes of profiles.

    ``revision`` grows with every change of how the file is read or mapped, so that nobody applies a plan
    other than the one they looked at. ``state`` is what the import's jobs last set it to; ``display_state`` is
    *paused* while the newest job is.
    """

    class Kind(models.TextChoices):
        PROFILES = "profiles", "People"
        EVENTS = "events", "Events"

    class State(models.TextChoices):
        UPLOADED = "uploaded", "Uploaded"
        PLANNING = "planning", "Planning"
        PLANNED = "planned", "Planned"
        APPLYING = "applying", "Applying"
        PAUSED = "paused", "Paused"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELED = "canceled", "Canceled"
        UNDOING = "undoing", "Undoing"
        UNDONE = "undone", "Undone"

    name = models.CharField(
        max_length=255, help_text="The file's name as uploaded; only ever shown, never a path."
    )
    file = models.FileField(upload_to="imports/", max_length=200, blank=True)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64, db_index=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.PROFILES)
    state = models.CharField(max_length=10, choices=State, default=State.UPLOADED)
    revision = models.PositiveIntegerField(default=1)
    dialect = models.JSONField(
        default=dict, help_text="encoding, delimiter, quotechar, header_line, newline …"
    )
    headers = models.JSONField(default=list)
    sample = models.JSONField(default=list, help_text="The first rows, for the mapping page.")
    mapping = models.JSONField(default=dict)
    options = models.JSONField(default=dict)
    counts = models.JSONField(default=dict, help_text="Rows by outcome: planned, then what happened.")
    cells = models.JSONField(default=dict, help_text="Filled cells by column and outcome; see imports.cells.")
    warnings = models.JSONField(default=list)
    problem = models.TextField(blank=True, help_text="Why the whole file failed, as a sentence.")
    source = models.ForeignKey("profiles.Source", models.PROTECT, related_name="+")
    job = models.ForeignKey("cdp.Job", models.SET_NULL, null=True, related_name="+", help_text="The newest.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="imports")
    key = models.ForeignKey("cdp.ApiKey", models.SET_NULL, null=True, related_name="imports")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    planned_at = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(null=True, help_text="When applying began.")
    finished_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(null=True, help_text="When the file and its rows were removed.")

    class Meta:
        ordering = ["-id"]
        permissions = [("undo_import", "Can undo an import")]

    def __str__(self) -> str:
        return self.name

    @property
    def display_state(self) -> str:
        """The state for pages and the API. Causes a query if ``job`` is not loaded."""
        open_states = (self.State.PLANNING, self.State.APPLYING, self.State.UNDOING)
        if self.state in open_states and self.job and self.job.state == Job.State.PAUSED:
            return self.State.PAUSED
        return self.state

    @property
    def state_label(self) -> str:
        return str(self.State(self.display_state).label)

    @property
    def doubts(self) -> list[dict[str, Any]]:
        """Guesses about the file that may be wrong: code, message, sample of cells. Not those that staff settled."""
        is_identified = any(is_identifying(entry) for entry in self.mapping.values())
        return [
            doubt
            for doubt in self.dialect.get("doubts", [])
            if doubt["code"] != "no_identifier" or not is_identified
        ]

    @property
    def can_change(self) -> bool:
        """Whether dialect and mapping may still change: nothing was applied, and no job is running."""
        has_ended = self.state in (self.State.FAILED, self.State.CANCELED)
        return bool(self.file) and (
            self.state in (self.State.UPLOADED, self.State.PLANNED) or (has_ended and self.applied_at is None)
        )

    def open_file(self) -> BufferedReader:
        """A stream of its own over the uploaded file; closing it closes no other. Raises FileNotFoundError."""
        return cast(BufferedReader, self.file.storage.open(str(self.file.name), "rb").file)

    @property
    def empty_rows(self) -> int:
        """Rows of nothing but delimiters and blanks: counted when the file was read, not staged."""
        return sum(warning["count"] for warning in self.warnings if warning.get("code") == "empty_rows")

    @property
    def partition(self) -> str:
        """The table of this import's staged rows; see ``partitions``."""
        return f"imports_row_{int(self.pk)}"

    def discard_plan(self) -> None:
        """Remove counts, problem and warnings of an older plan, all but *same_file*. Does not save."""
        self.problem = ""
        self.counts = {}
        self.cells = {}
        self.warnings = [warning for warning in self.warnings if warning.get("code") == "same_file"]

    def start_revision(self) -> None:
        """After a change of dialect or mapping: an older plan is void. Does not save."""
        self.revision += 1
        self.state = self.State.UPLOADED
        self.discard_plan()


class Row(models.Model):
    """One row is one record of an imported file: its cleaned values, and what the plan does with them.

    The table is partitioned by import; a partition is made with the plan and dropped when its retention ends.
    Written by COPY and set-based SQL only (``stage``, ``match``, ``group``, ``apply_sql``). The attribute columns
    have the cleaned values, ``diff`` what an update changes, in the journal's format.
    ``types``/``keys``/``raws``/``clashes`` are parallel arrays: the identifiers of this row that its profile does
    not have yet. A clash is 0 when the profile may have no more of that type, else the id of the profile that
    has the value already (-1: another row of this file); such a value is stored for contact only.
    ``cells`` and ``news`` say what becomes of each cell (``cells``, ``cell_counts``).
    """

    class Outcome(models.TextChoices):
        CREATED = "created", "New people"
        UPDATED = "updated", "Updated with new information"
        UNCHANGED = "unchanged", "Kept as they were"
        FAILED = "failed", "Rejected"
        CONFLICT = "conflict", "Matches two people, left out"
        DUPLICATE = "duplicate_in_file", "Same person again in this file"
        SUPPRESSED = "suppressed", "Erased people, left out"
        HELD = "held", "Changed after the plan, left out"
        SKIPPED = "skipped", "Lines above the header, left out"

    pk = models.CompositePrimaryKey("import_id", "line")
    import_id = models.BigIntegerField()
    line = models.BigIntegerField(help_text="Where the record starts in the file, from 1.")
    outcome = models.CharField(max_length=20, choices=Outcome)
    profile_id = models.BigIntegerField(null=True, help_text="The person it matches; empty for new people.")
    via_id = models.BigIntegerField(null=True, help_text="The merged profile whose identifier matched.")
    version = models.PositiveIntegerField(null=True, help_text="The person's version when planned.")
    head = models.BigIntegerField(null=True, help_text="The first line of the same person in this file.")
    types = ArrayField(models.SmallIntegerField(), null=True)
    keys = ArrayField(models.TextField(), null=True)
    raws = ArrayField(models.TextField(null=True), null=True)
    clashes = ArrayField(models.BigIntegerField(null=True), null=True)
    first_name = models.TextField(null=True)
    last_name = models.TextField(null=True)
    email = models.TextField(null=True)
    phone = models.TextField(null=True)
    street = models.TextField(null=True)
    postcode = models.TextField(null=True)
    city = models.TextField(null=True)
    state = models.TextField(null=True)
    country = models.TextField(null=True)
    birth_date = models.DateField(null=True)
    gender = models.TextField(null=True)
    language = models.TextField(null=True)
    attributes = models.JSONField(null=True)
    tags = ArrayField(models.TextField(), null=True)
    consents = models.JSONField(null=True, help_text="[[channel, purpose, state]]")
    clears = ArrayField(models.TextField(), null=True, help_text="Fields to empty.")
    diff = models.JSONField(null=True)
    kept = models.JSONField(null=True, help_text="{field: value} of cells that lose: kept as alternates.")
    problems = models.JSONField(null=True, help_text="[{column, value, message}]")
    notices = models.JSONField(null=True, help_text="Warnings: [{column, value, message}]")
    cells = models.TextField(null=True, help_text="A letter for each cell; see columns.cell_marks.")
    news = ArrayField(
        models.TextField(),
        null=True,
        help_text="Of rows about one person: the fields and identifiers this row is the first to bring.",
    )

    class Meta:
        managed = False
        db_table = "imports_row"
        default_permissions = ()

    def __str__(self) -> str:
        return f"line {self.line}: {self.get_outcome_display()}"


class SavedMapping(models.Model):
    """One row is one mapping kept for files with the same columns."""

    name = models.CharField(max_length=100, unique=True)
    headers = models.JSONField(default=list)
    mapping = models.JSONField()
    options = models.JSONField(default=dict)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
