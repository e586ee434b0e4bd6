"""An uploaded file → a temporary file on the disk of CDP_DATA; one that does not fit is removed at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.files.uploadhandler import TemporaryFileUploadHandler


class FileUploadHandler(TemporaryFileUploadHandler):
    """Django's own leaves what it could not write to the garbage collector, while the disk is full."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        with self._removed_on_error():
            super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> Any:
        with self._removed_on_error():  # what is buffered still goes to the disk here
            return super().file_complete(file_size)

    @contextmanager
    def _removed_on_error(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            with suppress(OSError):  # closing writes once more, and removes the file in any case
                self.file.close()
            raise
