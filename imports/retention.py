"""Imports past their retention → their files and rows removed; also files of uploads that never completed."""

from __future__ import annotations

import logging
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.retention import Rule
from imports.models import Import
from imports.partitions import drop_partition

log = logging.getLogger(__name__)

# Longer than any upload takes: an unknown file older than this belongs to a request that died.
UNFINISHED_AFTER = timedelta(hours=1)
FOLDER = "imports"

RULES = {
    "imports.Import": Rule("Kept: people's history names the file. Its counts stay, its content goes."),
    "imports.Row": Rule(
        "Deleted {days} days after the import ended.",
        by="imports",
        setting="CDP_IMPORT_KEEP_DAYS",
        what="Rows of imports",
    ),
    "files of imports": Rule(
        "Deleted {days} days after the import ended; of an upload that never arrived whole, an hour later.",
        by="imports",
        setting="CDP_IMPORT_KEEP_DAYS",
    ),
    "imports.SavedMapping": Rule("Kept until somebody deletes them."),
}


def expire_imports() -> int:
    """Remove what is past its time; the number of things removed. Safe to run twice."""
    return _expire_old() + _remove_orphaned_files() + _remove_temporary_files()


def _expire_old() -> int:
    """Imports that ended, or were uploaded and never applied, CDP_IMPORT_KEEP_DAYS ago lose file, rows and sample."""
    before = Now() - timedelta(days=settings.CDP_IMPORT_KEEP_DAYS)
    unfinished = Q(state__in=[Import.State.UPLOADED, Import.State.PLANNED], created_at__lt=before)
    old = Import.objects.filter(Q(finished_at__lt=before) | unfinished, expired_at__isnull=True)
    count = 0
    for pk in list(old.order_by("pk").values_list("pk", flat=True)[:200]):
        try:
            count += _expire(pk)
        except OperationalError:
            log.warning("import %s: its rows are being read, removed next time", pk)
    return count


@transaction.atomic
def _expire(pk: int) -> int:
    rows = Import.objects.select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("job")
    import_ = rows.filter(pk=pk, expired_at__isnull=True).first()
    if import_ is None or (import_.job and import_.job.is_open):
        return 0
    drop_partition(import_)
    if import_.state in (Import.State.UPLOADED, Import.State.PLANNED):
        import_.state = Import.State.CANCELED
        import_.finished_at = timezone.now()
    import_.sample = []
    import_.expired_at = timezone.now()
    name, storage = import_.file.name, import_.file.storage
    import_.file = ""
    import_.save()
    audit.record("import.expire", actor=Actor.system(), subject=f"import:{pk}")
    if name:
        transaction.on_commit(lambda: storage.delete(name))
    return 1


def _remove_orphaned_files() -> int:
    """Stored files without an import: the request died, or was rolled back, after storing."""
    storage: Any = Import._meta.get_field("file").storage
    if not storage.exists(FOLDER):
        return 0
    before = timezone.now() - UNFINISHED_AFTER
    names = [f"{FOLDER}/{name}" for name in storage.listdir(FOLDER)[1]]
    old_names = [name for name in names if storage.get_modified_time(name) < before]
    known = set(Import.objects.filter(file__in=old_names).values_list("file", flat=True))
    for name in old_names:
        if name not in known:
            storage.delete(name)
    return len(old_names) - len(known)


def _remove_temporary_files() -> int:
    """Django's temporary files of uploads whose process was killed; only in a folder of our own."""
    if not settings.FILE_UPLOAD_TEMP_DIR or tempfile.gettempdir() == settings.FILE_UPLOAD_TEMP_DIR:
        return 0
    before = (timezone.now() - UNFINISHED_AFTER).timestamp()
    count = 0
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload*"):
        try:
            if path.stat().st_mtime < before:
                path.unlink()
                count += 1
        except FileNotFoundError:
            continue  # its upload ended just now
    return count
