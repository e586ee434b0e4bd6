"""What staff see of segments: their list, the builder, a segment with who is in it and why, and its panel on a person's card."""

from segments.admin import bulk, card_segments, urls

__all__ = ["bulk", "card_segments", "urls"]
