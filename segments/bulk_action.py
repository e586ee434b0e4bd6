"""People of the list → always in a segment, whatever its rule says, with a reason."""

from __future__ import annotations

from collections.abc import Sequence

from cdp.actors import Actor
from cdp.errors import Invalid
from cdp.ids import row_id
from profiles.bulk.run_action import Action, Params
from profiles.journal import Cause
from profiles.models import Source
from segments.editing import pick_profiles
from segments.models import Segment


def _clean(raw: Params) -> Params:
    """One query."""
    number = str(raw.get("segment", ""))
    segment = Segment.objects.in_use().filter(pk=row_id(number) or 0).first()
    if segment is None:
        message = "Choose a segment that is in use."
        raise Invalid([{"field": "segment", "value": number[:40], "message": message}])
    return {"segment": segment.pk, "reason": str(raw.get("reason", "")).strip()[:300]}


def _add(ids: Sequence[int], params: Params, *, actor: Actor, source: Source, cause: Cause) -> int:
    return pick_profiles(
        segment_id=params["segment"], profile_ids=ids, is_in=True, reason=params["reason"], actor=actor
    )


ACTION = Action(
    label="Add to a segment",
    verb="Add to a segment by hand:",
    doing="Add to a segment",
    permission="segments.change_segment",
    apply=_add,
    clean=_clean,
    done="put into the segment",
)
