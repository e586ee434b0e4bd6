"""An error → a sentence that names the full disk, where that is what it says; None for every other error."""

from __future__ import annotations

import errno
import os

import psycopg

FILES = "The disk of CDP_DATA is full."
DATABASE = "The disk of the database is full."
# In the environment of a request whose body found no room on its way in.
BODY_LOST = "cdp.body_lost"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_DISK_FULL = "53100"


def full_disk(error: BaseException) -> str | None:
    """``FILES``, ``DATABASE`` or None. Looks through the errors it was raised from: Django's wrap psycopg's."""
    link: BaseException | None = error
    seen: list[BaseException] = []
    while link is not None and link not in seen:
        if isinstance(link, psycopg.Error):
            return DATABASE if link.sqlstate == _DISK_FULL else None
        if isinstance(link, OSError) and link.errno in _FULL:
            return FILES
        seen.append(link)
        link = link.__cause__ or link.__context__
    return None


def no_room(error: Exception | None = None) -> OSError:
    """What a library says in words of its own, as the system says it: DuckDB's errors have no number."""
    raised = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raised.__cause__ = error
    return raised
