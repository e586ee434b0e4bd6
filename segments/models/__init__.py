"""What segments store: their rules and versions, who is in them since when and why, and what waits to be looked at."""

from segments.models.membership import Cause, HandPick, Membership, NextCheck
from segments.models.queue import QueueEntry, Watch
from segments.models.segment import Segment, SegmentVersion

__all__ = ["Cause", "HandPick", "Membership", "NextCheck", "QueueEntry", "Segment", "SegmentVersion", "Watch"]
