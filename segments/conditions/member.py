"""``{"segment": 7}``: a person is in another segment now, by its stored membership."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from segments.conditions.base import Condition, Start, register
from segments.form.fields import Choice
from segments.models import Segment
from segments.moments import Moment
from segments.nodes import Node
from segments.person import Person, Reads
from segments.query import RuleQuery, Sql, fragment
from segments.vocabulary import Vocabulary


@register
@dataclass(frozen=True)
class SegmentCondition(Condition):
    id: int
    name: str

    key = "segment"
    label = "Segment"
    form = (
        Choice(
            "segment",
            "Segment",
            lambda raw, suggestions: suggestions.segments,
            before="is in",
            is_number=True,
        ),
    )
    starts = (Start("Segment", {"segment": ""}, 50),)

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("segment", "name")
        segment = read_segment(node, "segment", vocabulary)
        return cls(segment.pk, segment.name)

    @property
    def json(self) -> dict[str, Any]:
        return {"segment": self.id}

    @property
    def words(self) -> str:
        return f"is in the segment “{self.name}”"

    @property
    def is_personal(self) -> bool:
        return False

    @property
    def reads(self) -> Reads:
        return Reads(segments=frozenset({self.id}))

    def holds(self, person: Person, moment: Moment) -> bool:
        return self.id in person.segments

    def actual(self, person: Person, moment: Moment) -> str:
        entered_at = person.segments.get(self.id)
        return f"in it since {entered_at:%Y-%m-%d %H:%M} UTC" if entered_at else "not in it"

    def sql(self, query: RuleQuery) -> Sql:
        # Rows of merged-away profiles are absorbed or ended, so an open one is the surviving profile's own.
        return fragment(
            "p.id IN (SELECT s.profile_id FROM segments_membership s"
            " WHERE s.segment_id = {id} AND s.left_at IS NULL AND s.absorbed_by IS NULL)",
            id=query.value(self.id, "bigint"),
        )


# Where a condition names another segment: this one, and those of ``segments.stays``.
_KEYS = ("segment", "was_in", "entered", "left")


def read_segment(node: Node, key: str, vocabulary: Vocabulary) -> Segment:
    """The segment whose number stands there. Raises Invalid, also where the one the rule is of would be made from itself."""
    segment_id = node.raw.get(key)
    if isinstance(segment_id, bool) or not isinstance(segment_id, int):
        node.refuse(key, "Write the number of a segment.")
    segment = vocabulary.segments.get(segment_id)
    if segment is None:
        node.refuse(key, f"There is no segment #{segment_id}.")
    if vocabulary.segment_id is not None and _leads_to(segment, vocabulary.segment_id, vocabulary):
        node.refuse(key, f"“{segment.name}” is made from this segment, so this would be a circle.")
    return segment


def segments_in(rules: Any) -> set[int]:
    """The numbers of the segments a rule names, as JSON."""
    if isinstance(rules, dict):
        named = (rules.get(key) for key in _KEYS)
        own = {pk for pk in named if isinstance(pk, int) and not isinstance(pk, bool)}
        return own.union(*map(segments_in, rules.values()))
    return set().union(*map(segments_in, rules)) if isinstance(rules, list) else set()


def _leads_to(segment: Segment, wanted: int, vocabulary: Vocabulary) -> bool:
    seen: set[int] = set()
    queue = [segment.pk]
    while queue:
        pk = queue.pop()
        if pk == wanted:
            return True
        if pk not in seen and pk in vocabulary.segments:
            seen.add(pk)
            queue += segments_in(vocabulary.segments[pk].rules)
    return False
