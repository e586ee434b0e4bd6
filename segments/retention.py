"""How long each table of ``segments`` is kept."""

from cdp.retention import Rule

RULES = {
    "segments.Segment": Rule("Kept: an archived one keeps its history."),
    "segments.SegmentVersion": Rule(
        "Kept with the segment: it says what the rule was when somebody came in."
    ),
    "segments.Membership": Rule(
        "Kept with the person: it says who was in a segment at any time.", what="Stays in segments"
    ),
    "segments.HandPick": Rule("Kept until somebody takes it back.", what="People put in or kept out by hand"),
    "segments.NextCheck": Rule("Gone when somebody was looked at again.", what="People to look at again"),
    "segments.QueueEntry": Rule(
        "Gone within seconds, when they were compared.", what="Changes to compare with rules"
    ),
    "segments.Watch": Rule("Kept up to date with the rules that are live.", what="What live rules read"),
}
