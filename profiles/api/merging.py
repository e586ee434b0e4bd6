"""Two profiles → one, or the preview of that; a merge → undone, or the preview; the list of merges."""

from __future__ import annotations

from django.db.models import Q
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.views import rows
from cdp.errors import NotFound
from profiles.api import examples, parameters, responses, schema
from profiles.api.base import PersonalDataView, reload
from profiles.api.request_bodies import MergeBody
from profiles.identity.lookup import find_profile, find_visible
from profiles.merging.merge import merge_profiles
from profiles.merging.preview import preview_merge, preview_unmerge
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import Merge as MergeRow
from profiles.models import Profile

MERGED_OR_PREVIEW = api_schema.one_of("MergedOrPreview", schema.MergeAnswer, schema.MergePreview)
UNMERGED_OR_PREVIEW = api_schema.one_of("UnmergedOrPreview", schema.UnmergeAnswer, schema.UnmergePreview)


class Merge(PersonalDataView):
    """Two profiles that are one person."""

    permissions = {"POST": "profiles.merge_profile"}

    @extend_schema(
        operation_id="mergeProfiles",
        tags=["Merging"],
        summary="Merge another profile into this one",
        parameters=[parameters.REF],
        request=MergeBody,
        responses={200: MERGED_OR_PREVIEW},
        examples=examples.MERGE_EXAMPLES,
    )
    def post(self, request: Request, ref: str) -> Response:
        """With `dry_run=true` answers with the preview (`fields`, `consents`, `moved`, `warnings`, `result`), whose
        `preview_hash` makes the merge a 409 when either side changed since. Merging with oneself, or with somebody
        locked or erased, is a 422. Every merge can be undone.
        """
        body = self.body(MergeBody)
        winner_id = find_profile(ref, live_only=False).via_id
        sides = {"winner_id": winner_id, "loser_id": body["loser_id"], "choices": body.get("choices")}
        if self.is_dry_run:
            preview = preview_merge(**sides, can_view_pii=self.presenter.can_view_pii, **self.verb())
            answer = self.presenter.preview(preview)
            effects = [{"kind": "profile.merged", "profile_id": preview.winner_id, "moved": preview.moved}]
            webhooks = [{"kind": "webhook", "to": name} for name in preview.webhooks]
            return Response({**answer, "effects": [*effects, *webhooks]})
        done = merge_profiles(**sides, preview_hash=body.get("preview_hash"), **self.verb())
        winner = self.presenter.profile(reload(done.winner_id))
        return Response({"merge_id": done.merge_id, "winner": winner, "moved": done.moved})


class Unmerge(PersonalDataView):
    """Taking one merge back."""

    permissions = {"POST": "profiles.unmerge_profile"}

    @extend_schema(
        operation_id="unmergeProfiles",
        tags=["Merging"],
        summary="Undo a merge",
        request=None,
        responses={200: UNMERGED_OR_PREVIEW},
    )
    def post(self, request: Request, merge_id: int) -> Response:
        """Any merge, in any order. `kept` lists values somebody changed since, which stay."""
        if self.is_dry_run:
            preview = preview_unmerge(merge_id=merge_id, **self.verb())
            ids = (preview.winner_id, preview.loser_id)
            effects = [{"kind": "profile.unmerged", "profile_id": profile_id} for profile_id in ids]
            webhooks = [{"kind": "webhook", "to": name} for name in preview.webhooks]
            return Response({**self.presenter.unmerge_preview(preview), "effects": [*effects, *webhooks]})
        done = unmerge_profiles(merge_id=merge_id, **self.verb())
        profiles = Profile.objects.defer("search").in_bulk([done.winner_id, done.loser_id])
        winner, loser = self.presenter.profiles([profiles[done.winner_id], profiles[done.loser_id]])
        return Response({"merge_id": merge_id, "winner": winner, "loser": loser, "kept": done.kept})


_JOINED = ("loser", "user", "key", "source", "undone_by", "undone_by_key")


class MergeList(PersonalDataView):
    """The history of merging, newest first."""

    permissions = {"GET": "profiles.view_merge"}

    @extend_schema(
        operation_id="listMerges",
        tags=["Merging"],
        summary="Merges and undone merges",
        parameters=[*parameters.MERGE_FILTERS, *api_schema.PAGE],
        responses={200: api_schema.page_of(schema.Merge)},
    )
    def get(self, request: Request) -> Response:
        """`since` keeps what was merged or undone from that time on; `profile` the merges of one person."""
        self.known_parameters("since", "profile", "count")
        merges = MergeRow.objects.select_related(*_JOINED).defer("loser__search", "before", "after")
        if (since := self.moment("since")) is not None:
            merges = merges.filter(Q(created_at__gte=since) | Q(undone_at__gte=since))
        if ref := request.query_params.get("profile"):
            members = Profile.objects.members_of(find_visible(ref, actor=self.actor).root.pk).values("pk")
            merges = merges.filter(Q(winner_id__in=members) | Q(loser_id__in=members))
        return self.page(merges, rows(responses.merge))


class MergeDetail(PersonalDataView):
    permissions = {"GET": "profiles.view_merge"}

    @extend_schema(
        operation_id="getMerge",
        tags=["Merging"],
        summary="One merge",
        responses={200: schema.Merge},
    )
    def get(self, request: Request, merge_id: int) -> Response:
        row = MergeRow.objects.select_related(*_JOINED).filter(pk=merge_id).first()
        if row is None:
            raise NotFound(f"There is no merge {merge_id}.")
        return Response(responses.merge(row))
