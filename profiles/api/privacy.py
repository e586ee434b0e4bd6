"""A profile → everything stored about it, as the answer to an access request."""

from __future__ import annotations

from django.http import StreamingHttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from profiles.api import parameters, schema
from profiles.api.base import PersonalDataView
from profiles.privacy.gdpr_export import file_name, stream_profile


class GdprExport(PersonalDataView):
    """The answer to an access request."""

    permissions = {"GET": "profiles.export_profile"}
    confirmed = frozenset({"GET", "HEAD"})

    @extend_schema(
        operation_id="exportProfile",
        tags=["Privacy"],
        summary="Everything stored about a person",
        parameters=[parameters.REF],
        responses={200: schema.GdprExport},
    )
    def get(self, request: Request, ref: str) -> StreamingHttpResponse:
        """A JSON attachment: all members of a merge, every value with its source, consents with proof, events,
        notes, and who looked. Deleted people by id as well. Without `pii` identifying values are masked, and `about.is_masked` says so.
        """
        root = self.find(live_only=False).root
        pieces = stream_profile(profile_id=root.pk, actor=self.actor)
        name = f'attachment; filename="{file_name(root.pk, self.actor)}"'
        return StreamingHttpResponse(
            pieces, content_type="application/json", headers={"Content-Disposition": name}
        )
