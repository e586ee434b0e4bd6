"""An uploaded file → an import: refused for its content, or stored with its detected dialect and a guessed mapping."""

from __future__ import annotations

import uuid
from contextlib import closing
from itertools import islice
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.template.defaultfilters import filesizeformat

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Invalid, Refused
from cdp.uploads import content_digest
from imports.columns import Context, column_keys, guess_mapping
from imports.columns.targets import UnknownTarget, parse_target
from imports.files import JSON_LINES, Dialect, FileRefused, Row, Sniffed, read_rows, sniff
from imports.job_controls import changeable, locked_for_change
from imports.mappings import (
    check_mapping,
    define_birthday,
    explicit_mapping,
    load_context,
    options_from_cells,
    read_mapping,
)
from imports.models import Import, is_identifying
from imports.options import DEFAULTS, FROM_CELLS, clean_options
from profiles.identity.normalize import DEFAULT_KINDS
from profiles.models import Source

SAMPLE_ROWS = 20
GUESS_ROWS = 2_000
SAMPLE_CELL = 200
# A file that this product wrote: its quotes are right however long a cell is, and no text in it was meant to clear.
OWN_DIALECT = {"max_quoted_lines": 100_000}
OWN_OPTIONS = {"clear_marker": ""}
# An export has ids as they are stored: an apostrophe before digits is no mark of a shop or spreadsheet there.
EXPORT_OPTIONS = {"digit_marks": False}
# What ``_describe`` sets.
_DESCRIBED = ("dialect", "headers", "sample")


class BadFile(Refused):
    """The file cannot be read as rows; nothing of it was stored."""

    code = "bad_file"
    status = 400

    def __init__(self, error: FileRefused) -> None:
        problem = {"line": error.line_no, "column": None, "value": None, "message": error.message}
        super().__init__(error.message, problems=[problem] if error.line_no else [])


class TooLarge(Refused):
    code = "too_large"
    status = 413


def upload_import(
    *,
    file: UploadedFile,
    mapping: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    actor: Actor,
    source: Source,
) -> Import:
    """Store an uploaded file as an import in state *uploaded*, with detection and a mapping.

    Without ``mapping`` the guess is stored, complete or not. Memory does not depend on the file's size.
    Raises BadFile, TooLarge, Invalid; then nothing is left behind.
    """
    _check_size(file)
    clean, dialect_options = clean_options(options or {})
    stream: Any = file.file
    sniffed = _sniff(stream, dialect_options)
    defaults = {
        **DEFAULTS,
        **(OWN_OPTIONS if sniffed.is_own else {}),
        **(EXPORT_OPTIONS if sniffed.is_export else {}),
    }
    import_ = Import(
        name=_display_name(file.name or ""),
        size=file.size or 0,
        sha256=content_digest(file),
        options={**defaults, **clean},
        source=source,
        user_id=actor.user_id,
        key_id=actor.key_id,
    )
    _describe(import_, sniffed, dialect_options)
    rows = _first_rows(stream, import_)
    context = load_context(import_.options)
    if define_birthday(import_.headers, rows, context, actor=actor):
        context = load_context(import_.options)
    if mapping is None:
        import_.mapping = _guess(import_, rows, context)
        _doubt_mapping(import_)
    else:
        check_mapping(import_, context, mapping)
        import_.mapping = explicit_mapping(mapping)
    _read_settings(import_, rows, context, chosen=clean)
    earlier = Import.objects.filter(sha256=import_.sha256).order_by("-pk").first()
    if earlier is not None:
        import_.warnings = [_same_file_warning(earlier)]
    _store(import_, file, actor)
    return import_


def _check_size(file: UploadedFile) -> None:
    limit, size = settings.CDP_IMPORT_MAX_BYTES, file.size or 0
    if size > limit:
        raise TooLarge(
            f"The file is {filesizeformat(size)}; the limit is {filesizeformat(limit)}."
            " Split it, or raise CDP_IMPORT_MAX_BYTES."
        )


def _sniff(stream: Any, dialect_options: dict[str, Any]) -> Sniffed:
    try:
        return sniff(stream, given=dialect_options)
    except FileRefused as error:
        raise BadFile(error) from error


def _display_name(name: str) -> str:
    """Without its path, control characters and characters that turn text around. Never used as a path."""
    plain = name.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in plain if char.isprintable())[:255] or "file.csv"


def _describe(import_: Import, sniffed: Sniffed, dialect_options: dict[str, Any]) -> None:
    """Dialect, headers and sample. ``max_quoted_lines`` and the like cannot be detected, only chosen."""
    import_.dialect = {
        **sniffed.dialect.as_json(),
        **(OWN_DIALECT if sniffed.is_own else {}),
        **dialect_options,
        "confidence": sniffed.confidence,
        "candidates": list(sniffed.candidates),
        "newline": sniffed.newline,
        "bom": sniffed.bom,
        "chosen": dialect_options,
        "remarks": [*sniffed.problems, *_remarks(sniffed)],
        "doubts": [doubt._asdict() for doubt in sniffed.doubts],
        "above": sniffed.above,
        "is_own": sniffed.is_own,
        "is_export": sniffed.is_export,
    }
    import_.headers = sniffed.headers
    import_.sample = [[cell[:SAMPLE_CELL] for cell in row] for row in sniffed.sample_rows[:SAMPLE_ROWS]]


def _first_rows(stream: Any, import_: Import) -> list[list[str]]:
    """Rows to guess from: many more than the sample, for one cell can settle how a whole column is written."""
    try:
        with closing(read_rows(stream, Dialect.from_json(import_.dialect))) as reader:
            items = islice(reader, GUESS_ROWS)
            return [item.cells for item in items if isinstance(item, Row)]
    except FileRefused:
        return list(import_.sample)  # the plan will say what is wrong
    finally:
        stream.seek(0)


def _read_settings(
    import_: Import, rows: list[list[str]], context: Context, *, chosen: dict[str, Any]
) -> None:
    """How dates and phone numbers are written, as far as the cells show it and nobody chose it."""
    try:
        mapping = read_mapping(import_, context)
    except Invalid:  # staff have to decide on a column first
        entries = {f"#{number}": {"to": "ignore"} for number in range(1, len(import_.headers) + 1)}
        keys = column_keys(import_.headers)
        used = {keys[key] for key in import_.mapping if key in keys}
        missing = {key: entry for key, entry in entries.items() if keys[key] not in used}
        mapping = read_mapping(import_, context, {**import_.mapping, **missing})
    import_.options = {**options_from_cells(mapping, rows, context, import_.options), **chosen}


def _remarks(sniffed: Sniffed) -> list[str]:
    """Doubts as the page says them; it has a remark about a guessed encoding already."""
    return [doubt.message for doubt in sniffed.doubts if doubt.code != "encoding_guessed"]


def _guess(import_: Import, rows: list[list[str]], context: Context) -> dict[str, Any]:
    """Where the columns go; an export of people says it by its names, however much one is like another."""
    headers = import_.headers
    if not import_.dialect["is_export"]:
        return guess_mapping(headers, rows, context)
    attributes, identifiers = context.attribute_by_name, context.identifier_by_name
    mapping: dict[str, Any] = {}
    for header in dict.fromkeys(headers):
        to = header
        if header in attributes:
            to = f"attributes.{header}"
        elif header in identifiers and header not in DEFAULT_KINDS:
            to = f"identifier.{header}"
        mapping[header] = {"to": to if _is_target(to, context) else "ignore"}
    if "tags" in mapping and import_.dialect["format"] == JSON_LINES:
        mapping["tags"]["separator"] = ";"  # what lists are joined with
    return mapping


def _is_target(to: str, context: Context) -> bool:
    try:
        parse_target(to, context)
    except UnknownTarget:
        return False
    return True


def _doubt_mapping(import_: Import) -> None:
    """A guess without an identifier would make everybody anew; is this a list of people, read as it is meant?"""
    if import_.dialect["is_own"] or any(map(is_identifying, import_.mapping.values())):
        return
    message = (
        "No column was recognized as an identifier: every row would create a new person. "
        "Look at how the file is read, and map an e-mail or a customer id if it has one."
    )
    doubt = {"code": "no_identifier", "message": message, "sample": import_.headers[:10]}
    import_.dialect["doubts"].append(doubt)


def _store(import_: Import, file: UploadedFile, actor: Actor) -> None:
    """The file under a random name, then its row; without the row the file goes as well."""
    storage = Import._meta.get_field("file").storage
    name = storage.save(f"imports/{uuid.uuid4().hex}.csv", file)
    try:
        with transaction.atomic():
            import_.file.name = name
            import_.save()
            audit.record(
                "import.upload",
                actor=actor,
                subject=f"import:{import_.pk}",
                detail={"size": import_.size, "sha256": import_.sha256},
            )
    except BaseException:
        storage.delete(name)
        raise


def _same_file_warning(earlier: Import) -> dict[str, Any]:
    day = earlier.created_at.date().isoformat()
    state = earlier.get_state_display().lower()
    return {
        "code": "same_file",
        "column": None,
        "message": f"This is the same file as import #{earlier.pk} of {day} ({state}).",
        "import": earlier.pk,
    }


def reread_import(
    *, import_id: int, options: dict[str, Any], revision: int | None = None, actor: Actor
) -> Import:
    """Read the file's beginning again with another encoding, delimiter, header …; the mapping is guessed again.

    Columns whose header is still there keep their target. The file is read before the import is locked.
    Raises BadFile, Invalid, NotFound, Stale.
    """
    import_ = changeable(import_id, revision)
    clean, dialect_options = clean_options(options)
    dialect_options = {**import_.dialect.get("chosen", {}), **dialect_options}
    with import_.open_file() as stream:
        sniffed = _sniff(stream, dialect_options)
        _describe(import_, sniffed, dialect_options)
        rows = _first_rows(stream, import_)
    described = {name: getattr(import_, name) for name in _DESCRIBED}
    with transaction.atomic():
        import_ = locked_for_change(import_id, import_.revision)
        for name, value in described.items():
            setattr(import_, name, value)
        import_.options = {**import_.options, **dict.fromkeys(FROM_CELLS, ""), **clean}
        context = load_context(import_.options)
        if define_birthday(import_.headers, rows, context, actor=actor):
            context = load_context(import_.options)
        guess = _guess(import_, rows, context)
        unchanged = {key: entry for key, entry in import_.mapping.items() if key in import_.headers}
        import_.mapping = {**guess, **unchanged}
        _read_settings(import_, rows, context, chosen=clean)
        _doubt_mapping(import_)
        import_.start_revision()
        import_.save()
        audit.record("import.reread", actor=actor, subject=f"import:{import_.pk}")
    return import_
