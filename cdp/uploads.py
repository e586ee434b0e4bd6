"""Files that arrive in a request → temporary files whose content is hashed while it comes in, and read no second time for that.

A hash of 2 GB takes seconds; made later, it would be made inside the request's transaction. What does not fit on the disk
is removed at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.files.uploadhandler import TemporaryFileUploadHandler


class FileUploadHandler(TemporaryFileUploadHandler):
    """Django's handler for files on disk; the finished file has its ``sha256``."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._digest = hashlib.sha256()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._digest.update(raw_data)
        with self._removed_on_error():
            super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> Any:
        with self._removed_on_error():  # what is buffered still goes to the disk here
            file: Any = super().file_complete(file_size)
        file.sha256 = self._digest.hexdigest()
        return file

    @contextmanager
    def _removed_on_error(self) -> Iterator[None]:
        """Django's own leaves what it could not write to the garbage collector, while the disk is full."""
        try:
            yield
        except OSError:
            with suppress(OSError):  # closing writes once more, and removes the file in any case
                self.file.close()
            raise


def content_digest(file: Any) -> str:
    """SHA-256 of an uploaded file's content; one that came by no request is read for it, and left at its start."""
    received: str | None = getattr(file, "sha256", None)
    if received is not None:
        return received
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    return digest
