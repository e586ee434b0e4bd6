"""Two profiles about to be merged → the segments their person enters and leaves by it, by the code that keeps them."""

from __future__ import annotations

from typing import Any

from profiles.merging.preview_sections import Compare, PreviewSection
from profiles.reading.profiles import ProfileView
from segments.evaluate.moment import current_moment
from segments.membership.live_rules import live_segments
from segments.models import HandPick, Membership
from segments.person import NOTHING, load_person


def read_segments(winner_id: int, loser_id: int) -> Compare:
    """``{"entered": [{"id", "name"}], "left": …}``. A fixed number of queries for any number of segments."""
    current = Membership.objects.current().filter(profile__in=[winner_id, loser_id])
    before = set(current.values_list("segment_id", flat=True))

    def compare(result: ProfileView) -> dict[str, Any]:
        segments = live_segments()
        reads = NOTHING
        for segment in segments:
            reads |= segment.reads
        person = load_person(result.profile.pk, reads)
        picks = dict(
            HandPick.objects.filter(profile__canonical_id=result.profile.pk)
            .order_by("created_at", "id")
            .values_list("segment_id", "is_in")
        )
        moment = current_moment()
        entered: list[dict[str, Any]] = []
        left: list[dict[str, Any]] = []
        for segment in segments:
            by_rule = person is not None and segment.rule is not None and segment.rule.holds(person, moment)
            is_in = picks.get(segment.id, by_rule)
            if is_in != (segment.id in before):
                named = {"id": segment.id, "name": segment.row.name}
                (entered if is_in else left).append(named)
        return {"entered": entered, "left": left}

    return compare


SECTION = PreviewSection(read_segments, "admin/segments/merge_segments.html")
