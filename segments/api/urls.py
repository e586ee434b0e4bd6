from typing import Any

from cdp.api.routes import Router, both
from segments.api import insight, members, preview, segments

_SEGMENT = "v1/segments/<int:pk>"

router = Router()
router.register("v1/segments", segments.SegmentViewSet, "api-segment")

urlpatterns: list[Any] = [
    *both("v1/segments/preview", preview.Preview, "api-segment-preview"),
    *both(f"{_SEGMENT}/members", members.Members, "api-segment-members"),
    *both(f"{_SEGMENT}/changes", members.Changes, "api-segment-changes"),
    *both(f"{_SEGMENT}/almost", insight.Almost, "api-segment-almost"),
    *both(f"{_SEGMENT}/reach", insight.Reach, "api-segment-reach"),
    *both(f"{_SEGMENT}/explain/<ref:ref>", insight.Explain, "api-segment-explain"),
    *router.urls,
]
