"""The personal data of ``segments``: who is in which segment → classes and a part of the access file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cdp.personal_data_registry import Provider, Section, Subject, Table
from cdp.times import iso
from segments.models import HandPick, Membership

TABLES = (
    Table(
        "segments.Membership",
        personal=("segment", "profile", "entered_at", "entered_by", "left_at", "left_by"),
        technical=(
            "id",
            "entered_ref",
            "entered_recorded_at",
            "left_ref",
            "left_recorded_at",
            "absorbed_by",
        ),
        not_exported={
            "entered_ref": "The number of what caused it; what it was is in the file.",
            "entered_recorded_at": "When a worker wrote it.",
            "left_ref": "The number of what caused it; what it was is in the file.",
            "left_recorded_at": "When a worker wrote it.",
            "absorbed_by": "Which merge joined two stays; the merges are in the file.",
        },
    ),
    Table(
        "segments.HandPick",
        identifying=("reason",),
        personal=("segment", "profile", "is_in", "created_at"),
        technical=("id", "user", "key"),
        not_exported={
            "user": "The name of a colleague (CJEU C-579/21).",
            "key": "Which API key it was.",
        },
    ),
    Table(
        "segments.NextCheck",
        personal=("segment", "profile", "due_at"),
        technical=("id",),
        not_exported={
            "segment": "A note to look again; the stays themselves are in the file.",
            "profile": "A note to look again.",
            "due_at": "A note to look again.",
        },
    ),
    Table(
        "segments.QueueEntry",
        personal=("profile_id",),
        technical=("id", "reads", "cause", "cause_id", "at", "queued_at", "xact"),
        not_exported={
            "profile_id": "Work that waits for seconds.",
            "reads": "Work that waits for seconds.",
            "cause": "Work that waits for seconds.",
            "cause_id": "Work that waits for seconds.",
            "at": "Work that waits for seconds.",
            "queued_at": "Work that waits for seconds.",
            "xact": "Work that waits for seconds.",
        },
    ),
)

NOT_PERSONAL = {
    "segments.Segment": "A rule that staff wrote; the groups somebody is in are in the file.",
    "segments.SegmentVersion": "Rules that staff wrote, as they were.",
    "segments.Watch": "Names of fields and events.",
}


def segments_of(subject: Subject) -> Iterator[dict[str, Any]]:
    """Every stay in a segment, of all members; and where somebody put them in or kept them out by hand."""
    stays = Membership.objects.filter(profile__in=subject.member_ids).select_related("segment")
    for stay in stays.order_by("entered_at", "pk"):
        yield {
            "segment": stay.segment.name,
            "profile_id": stay.profile_id,
            "entered_at": iso(stay.entered_at),
            "entered_by": stay.get_entered_by_display(),
            "left_at": iso(stay.left_at),
            "left_by": stay.get_left_by_display(),
        }
    for pick in HandPick.objects.filter(profile__in=subject.member_ids).select_related("segment"):
        yield {
            "segment": pick.segment.name,
            "profile_id": pick.profile_id,
            "always": "in" if pick.is_in else "out",
            "reason": pick.reason,
            "created_at": iso(pick.created_at),
        }


PROVIDER = Provider(
    tables=TABLES,
    not_personal=NOT_PERSONAL,
    sections={
        "segments": Section(
            "Groups of people you were counted among, since when, and why.", segments_of, order=95
        )
    },
)
