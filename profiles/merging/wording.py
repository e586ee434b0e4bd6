"""A journal entry or merge → who did it, as sentences about merges say it."""

from __future__ import annotations

from profiles.models import Change, Merge


def who(change: Change) -> str:
    """Whoever made a journal entry. ``user``, ``key`` and ``source`` should be loaded with it."""
    if change.cause == Change.Cause.IMPORT:
        return f"import {change.cause_id}"
    if change.user:
        return change.user.get_username()
    return change.key.name if change.key else change.source.name


def undoer(merge: Merge) -> str:
    if merge.undone_by:
        return merge.undone_by.get_username()
    return merge.undone_by_key.name if merge.undone_by_key else "the system"
