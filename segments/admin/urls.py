"""The addresses of the segments' pages, under the names the admin's links expect, and their tab of the menu."""

from __future__ import annotations

from django.contrib import admin

from cdp.admin import audit_wording
from cdp.admin.audit import subject_pages
from cdp.admin.navigation import Tab, register_tab
from profiles.admin.profile_urls import OwnPages
from segments.admin import builder, pages, today, why
from segments.models import Segment


class SegmentAdmin(OwnPages):
    pages = (
        ("", pages.segments, "changelist"),
        ("add/", builder.add, "add"),
        ("shape/", builder.shape, "shape"),
        ("preview/", builder.preview, "preview"),
        ("why/", why.ask, "ask"),
        ("<int:segment_id>/change/", pages.show, "change"),
        ("<int:segment_id>/rule/", builder.edit, "rule"),
        ("<int:segment_id>/why/", why.why, "why"),
        ("<int:segment_id>/archive/", pages.archive, "archive"),
        ("<int:segment_id>/restore/", pages.restore, "restore"),
        ("<int:segment_id>/pick/", pages.pick, "pick"),
    )


admin.site.register(Segment, SegmentAdmin)
subject_pages.register("segment", "admin:segments_segment_change")
register_tab(
    "segments", Tab("Segments", "admin:segments_segment_changelist", "segments.view_segment"), order=10
)
today.register()
audit_wording.register(
    {
        "segment.create": "made",
        "segment.update": "changed",
        "segment.archive": "archived",
        "segment.restore": "brought back",
        "segment.broken": "stopped, its rule being broken,",
        "segment.pick": "put into a segment or kept out by hand",
    }
)
