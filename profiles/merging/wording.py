"""Who did something and on which day, as the sentences about merges say it."""

from __future__ import annotations

import datetime

from django.utils import timezone

from profiles.models import Change, DuplicatePair, Merge


def day(moment: datetime.datetime) -> str:
    """``3 May``, with the year when it is another one."""
    local = timezone.localtime(moment)
    text = f"{local.day} {local:%B}"
    return text if local.year == timezone.localtime().year else f"{text} {local.year}"


def who(change: Change) -> str:
    """Whoever made a journal entry. ``user``, ``key`` and ``source`` should be loaded with it."""
    if change.cause == Change.Cause.IMPORT:
        return f"import {change.cause_id}"
    if change.user:
        return change.user.get_username()
    return change.key.name if change.key else change.source.name


def decider(row: DuplicatePair) -> str:
    if row.user:
        return row.user.get_username()
    return row.key.name if row.key else "somebody"


def undoer(merge: Merge) -> str:
    if merge.undone_by:
        return merge.undone_by.get_username()
    return merge.undone_by_key.name if merge.undone_by_key else "the system"
