"""Segments that are kept → their rules, read; one whose rule cannot be read any more is broken, with a sentence, and stops no other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from django.db.models.functions import Now

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.mail import queue_mail
from segments.models import Segment, Watch
from segments.person import NOTHING, Reads
from segments.rules.parse import parse_rule
from segments.rules.tree import Rule
from segments.vocabulary import Vocabulary

# Watched while there is any segment: new profiles, merges and deletions concern all of them.
EVERY = "*"


@dataclass(frozen=True)
class LiveSegment:
    """A segment and its rule; a segment by hand has none."""

    row: Segment
    rule: Rule | None

    @property
    def id(self) -> int:
        return self.row.pk

    @cached_property
    def reads(self) -> Reads:
        return NOTHING if self.rule is None else self.rule.reads

    @cached_property
    def watched(self) -> frozenset[str]:
        return self.reads.watched

    def is_concerned(self, token: str) -> bool:
        """Whether a change in this may change who is in; ``pick:7`` is a choice by hand for segment 7."""
        return token in (EVERY, f"pick:{self.id}") or token in self.watched


def live_segments(ids: Iterable[int] | None = None) -> list[LiveSegment]:
    """The live ones (of these), by id. Marks those broken whose rule names what is gone. A fixed number of queries."""
    rows = Segment.objects.filter(state=Segment.State.LIVE).order_by("pk")
    if ids is not None:
        rows = rows.filter(pk__in=list(ids))
    vocabulary = Vocabulary()
    found = []
    for row in rows:
        try:
            found.append(read_segment(row, vocabulary))
        except Invalid as error:
            mark_broken(row, error.message)
    return found


def read_segment(row: Segment, vocabulary: Vocabulary | None = None) -> LiveSegment:
    """Raises Invalid for a rule that names what is not there."""
    if row.is_static:
        return LiveSegment(row, None)
    return LiveSegment(row, parse_rule(row.rules, vocabulary or Vocabulary()))


def mark_broken(row: Segment, sentence: str) -> None:
    """It keeps the members it has, is not kept up to date any more, and its owner is told once."""
    kept = (Segment.State.LIVE, Segment.State.FILLING)
    broken = Segment.objects.filter(pk=row.pk, state__in=kept).update(
        state=Segment.State.BROKEN, problem=sentence, updated_at=Now()
    )
    if not broken:
        return
    detail = {"problem": sentence}
    audit.record("segment.broken", actor=Actor.system(), subject=f"segment:{row.pk}", detail=detail)
    write_watched()
    owner = row.owner
    if owner is not None and owner.is_active and owner.email:
        queue_mail(
            to=[owner.email],
            subject=f"The segment “{row.name}” is no longer kept up to date",
            text=f"{sentence}\n\nIt keeps the members it had. Change its rule to bring it back.\n",
        )


def unanswerable(error: Exception) -> str:
    """The sentence about a rule that the database refuses to evaluate."""
    return f"The database cannot evaluate this rule: {str(error).splitlines()[0]}"


def write_watched() -> None:
    """What triggers look for, from all live and filling segments. Call after any of them changed. Four queries at most."""
    tokens: set[str] = set()
    vocabulary = Vocabulary()
    rows = Segment.objects.filter(state__in=[Segment.State.LIVE, Segment.State.FILLING])
    for row in rows:
        tokens.add(EVERY)
        try:
            tokens |= read_segment(row, vocabulary).watched
        except Invalid:
            continue  # found and marked where it is evaluated
    known = set(Watch.objects.values_list("token", flat=True))
    Watch.objects.bulk_create([Watch(token=token) for token in sorted(tokens - known)], ignore_conflicts=True)
    Watch.objects.filter(token__in=known - tokens).delete()
