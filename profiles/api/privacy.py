"""What a person may ask for: everything held about them."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from profiles.api import schema
from profiles.api.base import PeopleApi


class GdprExport(PeopleApi):
    """The answer to an access request."""

    permissions = {"GET": "profiles.export_profile"}

    @extend_schema(
        operation_id="exportProfile",
        tags=["Privacy"],
        summary="Everything held about a person",
        parameters=[schema.REF],
        responses={200: schema.GdprExport, **api_schema.ERRORS},
    )
    def get(self, request: Request, ref: str) -> Response:
        """A JSON attachment: all members of a merge, every value with its source, consents with proof, events,
        notes, and who looked.
        """
        root = self.find().root
        from profiles.privacy.export import export_profile

        data = export_profile(profile_id=root.pk, actor=self.actor)
        name = f'attachment; filename="profile-{root.pk}.json"'
        return Response(data, headers={"Content-Disposition": name})
