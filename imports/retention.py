"""Forgetting: files and rows of imports past their time, and uploads nobody finished (E9, P5)."""

from __future__ import annotations

import logging
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from imports.models import Import
from imports.partitions import drop_partition

log = logging.getLogger(__name__)

# Longer than any upload takes: what lies about for so long belongs to a request that died.
UNFINISHED_AFTER = timedelta(hours=1)
FOLDER = "imports"


def expire_imports() -> int:
    """Remove what is past its time; the number of things removed. For cdp.tasks.expire, safe to run twice."""
    return _expire_old() + _sweep_stored() + _sweep_received()


def _expire_old() -> int:
    """Imports that ended, or were left lying, CDP_IMPORT_KEEP_DAYS ago lose file, rows and sample."""
    before = timezone.now() - timedelta(days=settings.CDP_IMPORT_KEEP_DAYS)
    waiting = Q(state__in=[Import.State.UPLOADED, Import.State.PLANNED], created_at__lt=before)
    done = Import.objects.filter(Q(finished_at__lt=before) | waiting, expired_at__isnull=True)
    count = 0
    for pk in list(done.order_by("pk").values_list("pk", flat=True)[:200]):
        try:
            count += _expire(pk)
        except OperationalError:
            log.warning("import %s: its rows are being read, forgotten next time", pk)
    return count


@transaction.atomic
def _expire(pk: int) -> int:
    rows = Import.objects.select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("job")
    job = rows.filter(pk=pk, expired_at__isnull=True).first()
    if job is None or (job.job and job.job.is_open):
        return 0
    drop_partition(job)
    if job.state in (Import.State.UPLOADED, Import.State.PLANNED):
        job.state = Import.State.CANCELED
        job.finished_at = timezone.now()
    job.sample = []
    job.expired_at = timezone.now()
    name, storage = job.file.name, job.file.storage
    job.file = ""
    job.save()
    audit.record("import.expire", actor=Actor.system(), subject=f"import:{pk}")
    if name:
        transaction.on_commit(lambda: storage.delete(name))
    return 1


def _sweep_stored() -> int:
    """Stored files no import knows: the request died, or was rolled back, after storing."""
    storage: Any = Import._meta.get_field("file").storage
    if not storage.exists(FOLDER):
        return 0
    old = timezone.now() - UNFINISHED_AFTER
    names = [f"{FOLDER}/{name}" for name in storage.listdir(FOLDER)[1]]
    lying = [name for name in names if storage.get_modified_time(name) < old]
    known = set(Import.objects.filter(file__in=lying).values_list("file", flat=True))
    for name in lying:
        if name not in known:
            storage.delete(name)
    return len(lying) - len(known)


def _sweep_received() -> int:
    """Django's temporary files of uploads whose process was killed; only in a folder that is ours alone."""
    if not settings.FILE_UPLOAD_TEMP_DIR or tempfile.gettempdir() == settings.FILE_UPLOAD_TEMP_DIR:
        return 0
    old = (timezone.now() - UNFINISHED_AFTER).timestamp()
    count = 0
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload*"):
        try:
            if path.stat().st_mtime < old:
                path.unlink()
                count += 1
        except FileNotFoundError:
            continue  # its upload ended just now
    return count
