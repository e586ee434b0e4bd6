"""A file comes in: refused by its content, or stored under a random name with what was found out about it."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.template.defaultfilters import filesizeformat

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Refused, Stale
from imports.columns import Context, advise, guess_mapping
from imports.control import locked
from imports.files import FileRefused, Sniffed, sniff
from imports.installation import as_said, check_mapping, installed, read_mapping
from imports.models import Import
from imports.options import DEFAULTS, clean_options
from profiles.models import Source

SAMPLE_ROWS = 20
SAMPLE_CELL = 200


class BadFile(Refused):
    """The file cannot be read as rows; nothing of it was kept."""

    code = "bad_file"
    status = 400

    def __init__(self, error: FileRefused) -> None:
        problem = {"line": error.line, "column": None, "value": None, "message": error.message}
        super().__init__(error.message, problems=[problem] if error.line else [])


class TooLarge(Refused):
    code = "too_large"
    status = 413


@dataclass(frozen=True, slots=True)
class Uploaded:
    """``job`` is the new import; ``earlier`` the newest import of the very same bytes, if any."""

    job: Import
    earlier: Import | None


def upload_import(
    *,
    file: UploadedFile,
    mapping: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    actor: Actor,
    source: Source,
) -> Uploaded:
    """Store an uploaded file as an import in state *uploaded*, with detection and a mapping.

    Without ``mapping`` the guess is kept, complete or not. Memory does not depend on the file's size.
    Raises BadFile, TooLarge, Invalid; then nothing is left behind.
    """
    _check_size(file)
    clean, said = clean_options(options or {})
    stream: Any = file.file
    try:
        found = sniff(stream, given=said)
    except FileRefused as error:
        raise BadFile(error) from error
    digest = _sha256(stream)
    job = Import(
        name=_shown_name(file.name or ""),
        size=file.size or 0,
        sha256=digest,
        options={**DEFAULTS, **clean},
        source=source,
        user_id=actor.user_id,
        key_id=actor.key_id,
    )
    _describe(job, found, said)
    context = installed(job.options)
    if mapping is not None:
        check_mapping(job, context, mapping)
        job.mapping = as_said(mapping)
    else:
        job.mapping = _guess(job, context)
    earlier = Import.objects.filter(sha256=digest).order_by("-pk").first()
    _store(job, file, actor, earlier)
    return Uploaded(job, earlier)


def _check_size(file: UploadedFile) -> None:
    limit, size = settings.CDP_IMPORT_MAX_BYTES, file.size or 0
    if size > limit:
        raise TooLarge(
            f"The file has {filesizeformat(size)}; at most {filesizeformat(limit)} are possible."
            " Split it, or raise CDP_IMPORT_MAX_BYTES."
        )


def _shown_name(name: str) -> str:
    """Only ever shown: without its path, control characters and what turns text around."""
    plain = name.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in plain if char.isprintable())[:255] or "file.csv"


def _sha256(stream: Any) -> str:
    stream.seek(0)
    digest = hashlib.file_digest(stream, "sha256").hexdigest()
    stream.seek(0)
    return digest


def _describe(job: Import, found: Sniffed, said: dict[str, Any]) -> None:
    """What the file looks like; ``max_quoted_lines`` and the like cannot be found out, only said."""
    job.dialect = {
        **found.dialect.as_json(),
        **said,
        "confidence": found.confidence,
        "candidates": list(found.candidates),
        "newline": found.newline,
        "bom": found.bom,
        "said": said,
        "remarks": found.problems,
    }
    job.headers = found.headers
    job.sample = [[cell[:SAMPLE_CELL] for cell in row] for row in found.sample_rows[:SAMPLE_ROWS]]


def _guess(job: Import, context: Context) -> dict[str, Any]:
    """As many columns as can be guessed; what has to be looked at by a person is left out."""
    return dict(guess_mapping(job.headers, job.sample, context))


def _store(job: Import, file: UploadedFile, actor: Actor, earlier: Import | None) -> None:
    storage = Import._meta.get_field("file").storage
    name = storage.save(f"imports/{uuid.uuid4().hex}.csv", file)
    try:
        with transaction.atomic():
            job.file.name = name
            job.warnings = [same_file_warning(earlier)] if earlier else []
            job.save()
            audit.record(
                "import.upload",
                actor=actor,
                subject=f"import:{job.pk}",
                detail={"size": job.size, "sha256": job.sha256},
            )
    except BaseException:
        storage.delete(name)
        raise


def same_file_warning(earlier: Import) -> dict[str, Any]:
    day = earlier.created_at.date().isoformat()
    state = earlier.get_state_display().lower()
    return {
        "code": "same_file",
        "column": None,
        "message": f"This is the same file as import #{earlier.pk} of {day} ({state}).",
        "import": earlier.pk,
    }


# --- Correcting what was found ---------------------------------------------------------------------------


def lock_for_change(import_id: int, revision: int | None) -> Import:
    """The import, locked, when it may still be read or mapped differently; Stale otherwise."""
    job = locked(import_id)
    if revision is not None and revision != job.revision:
        raise Stale("The import was changed meanwhile by somebody else. Look at it again.")
    if not can_change(job):
        raise Stale(f"The import is {job.state_label.lower()} and cannot be changed now.")
    return job


def can_change(job: Import) -> bool:
    """Whether dialect and mapping may still change: nothing of it was applied, and nothing is running."""
    ended = job.state in (Import.State.FAILED, Import.State.CANCELED)
    return bool(job.file) and (
        job.state in (Import.State.UPLOADED, Import.State.PLANNED) or (ended and job.applied_at is None)
    )


@transaction.atomic
def reread_import(
    *, import_id: int, options: dict[str, Any], revision: int | None = None, actor: Actor
) -> Import:
    """Read the file anew with what staff say about encoding, delimiter, header …; the mapping is guessed again.

    Columns that keep their header keep where they went. Raises BadFile, Invalid, Stale.
    """
    job = lock_for_change(import_id, revision)
    clean, said = clean_options(options)
    said = {**job.dialect.get("said", {}), **said}
    try:
        with job.file.open("rb") as stream:
            found = sniff(stream.file, given=said)
    except FileRefused as error:
        raise BadFile(error) from error
    _describe(job, found, said)
    job.options = {**job.options, **clean}
    context = installed(job.options)
    kept = {key: entry for key, entry in job.mapping.items() if key in job.headers}
    job.mapping = {**_guess(job, context), **kept}
    _changed(job)
    job.save()
    audit.record("import.reread", actor=actor, subject=f"import:{job.pk}")
    return job


@transaction.atomic
def map_import(
    *,
    import_id: int,
    mapping: dict[str, Any],
    options: dict[str, Any] | None = None,
    revision: int | None = None,
    actor: Actor,
) -> Import:
    """Say where each column goes. An older plan is void. Raises Invalid with every problem, Stale."""
    job = lock_for_change(import_id, revision)
    clean, said = clean_options(options or {})
    if said:
        raise Stale("How the file is read is changed before the mapping, not with it.")
    job.options = {**job.options, **clean}
    check_mapping(job, installed(job.options), mapping)
    job.mapping = as_said(mapping)
    _changed(job)
    job.save()
    audit.record("import.map", actor=actor, subject=f"import:{job.pk}")
    return job


def _changed(job: Import) -> None:
    job.revision += 1
    job.state = Import.State.UPLOADED
    job.problem = ""
    job.counts = {}
    job.warnings = [warning for warning in job.warnings if warning.get("code") == "same_file"]


def advice_for(job: Import) -> list[dict[str, Any]]:
    """What to point out about the mapping as it is; empty when the mapping is not complete yet."""
    context = installed(job.options)
    try:
        mapping = read_mapping(job, context)
    except Refused:
        return []
    return [
        {
            "code": item.code,
            "column": item.column or None,
            "message": item.message,
            "suggestion": item.suggestion,
        }
        for item in advise(mapping, job.sample, context)
    ]
