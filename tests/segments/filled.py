"""Segments filled and kept within the transaction of a test, where the job would wait for it for ever."""

from __future__ import annotations

from typing import Any

from segments.membership import refresh
from segments.membership.fill import fill
from segments.models import Segment


def settle(segment_id: int) -> None:
    """Fill the segment, and work off the queue."""
    segment = Segment.objects.get(pk=segment_id)
    fill(segment.pk, segment.version, cause="rule", ref=None)
    refresh.work_off()


def made(api: Any, name: str, *parts: dict[str, Any], group: str = "all", **body: Any) -> int:
    """A filled segment made through the API; by hand where no part of a rule is given."""
    if parts:
        body["rules"] = {"version": 1, group: list(parts)}
    else:
        body["kind"] = "static"
    answer = api.post("segments/", {"name": name, **body})
    assert answer.status_code == 201, answer.data
    if parts:
        settle(answer.data["id"])
    return int(answer.data["id"])
