"""Files that arrive in a request → temporary files whose content is hashed while it comes in, and read no second time for that.

A hash of 2 GB takes seconds; made later, it would be made inside the request's transaction.
"""

from __future__ import annotations

import hashlib
from typing import Any

from django.core.files.uploadhandler import TemporaryFileUploadHandler


class HashedUploadHandler(TemporaryFileUploadHandler):
    """Django's handler for files on disk; the finished file has its ``sha256``."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._digest = hashlib.sha256()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._digest.update(raw_data)
        super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> Any:
        file: Any = super().file_complete(file_size)
        file.sha256 = self._digest.hexdigest()
        return file


def content_digest(file: Any) -> str:
    """SHA-256 of an uploaded file's content; one that came by no request is read for it, and left at its start."""
    received: str | None = getattr(file, "sha256", None)
    if received is not None:
        return received
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return digest
