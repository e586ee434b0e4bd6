"""The parameters of paths and lists → as the API's description has them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from profiles.search.list_filters import list_filters

REF = OpenApiParameter(
    "ref",
    str,
    OpenApiParameter.PATH,
    description="An id the person has or ever had, or `type:value`, such as `email:ann@example.com`.",
)
REACHABLE_WHY = "reachable_why"
INCLUDE = OpenApiParameter(
    "include", str, enum=[REACHABLE_WHY], description="Adds why the person cannot be written to, where so."
)
TAG = OpenApiParameter("tag", str, OpenApiParameter.PATH, description="The tag's name.")
IDENTIFIER_PATH = [
    OpenApiParameter("type", str, OpenApiParameter.PATH, description="An identifier type, such as `email`."),
    OpenApiParameter("value", str, OpenApiParameter.PATH, description="In any format; URL-encoded."),
]
UPSERT = OpenApiParameter(
    "upsert",
    bool,
    default=False,
    description="Update the profile that the identifiers resolve to instead of answering 409.",
)
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description='The version you looked at, in quotes: `"7"`.'
)


def _filter(name: str, description: str, kind: Any = str, **kwargs: Any) -> OpenApiParameter:
    return OpenApiParameter(name, kind, description=description, **kwargs)


PROFILE_FILTERS = [
    _filter("q", "The search box: any identifier in any format, a name, or the beginning of one."),
    _filter("type", "Recognized people or anonymous visitors.", enum=["recognized", "anonymous"]),
    _filter("tag", "Has this tag; repeat for several.", many=True),
    _filter("country", "English name or ISO 3166 code."),
    _filter("source", "Created through this source (name or id)."),
    _filter("identifier", "Holds `type:value`, in any format."),
    _filter("locked", "Locked against merging.", bool),
    _filter("status", "Deleted people instead of live ones.", enum=["live", "deleted"]),
    *(
        _filter(f"{field}_at_{side}", f"{label} {side} this time.", OpenApiTypes.DATETIME)
        for field, label in (("created", "Made"), ("last_seen", "Last seen"))
        for side in ("after", "before")
    ),
    _filter(
        "attributes.<name>",
        "An attribute has this value, for example `attributes.plan=pro` or `attributes.city=Oslo`.",
    ),
    _filter(
        "attributes.<name>.op",
        "Another comparison: `ne`, `in` (repeat the value), `contains`, `gt`, `gte`, `lt`, `lte`, `between` (with"
        " `attributes.<name>.to`), `empty` or `filled`, for example `attributes.points=100&attributes.points.op=gte`.",
    ),
    _filter("attributes.<name>.to", "The other end of `between`."),
]


def registered_filters() -> list[OpenApiParameter]:
    """The filters of the list that rooms and apps registered."""
    return [_filter(name, entry.description, entry.api_type) for name, entry in list_filters.items()]


TIMELINE_FILTERS = [
    _filter("kind", "One kind of entry.", enum=["event", "change", "merge", "note", "message"]),
    _filter("name", "Events of this name."),
    _filter("source", "What came through this source."),
]
MERGE_FILTERS = [
    _filter("since", "Merged or undone at or after this time.", OpenApiTypes.DATETIME),
    _filter("profile", "Merges of the person behind this id or `type:value`."),
]
