"""A rule that is not saved → exactly how many people it means, ten of them, and what each of its conditions keeps out."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import jobs as job_api
from cdp.api.request_bodies import IdField, StrictSerializer
from cdp.limits import TooSlow
from cdp.models import Job
from profiles.api import schema
from profiles.api.base import PersonalDataView
from profiles.models import Profile
from segments.api.base import pointing_at_rules
from segments.evaluate import preview
from segments.evaluate.preview_job import preview_result, start_preview
from segments.rules.parse import parse_rule
from segments.rules.tree import Rule
from segments.vocabulary import Vocabulary

VIEW_PEOPLE = "profiles.view_profile"


class PreviewBody(StrictSerializer):
    rules = serializers.JSONField(help_text="As a segment has them.")
    segment = IdField(
        required=False, help_text="The segment whose rule it is to be, so that a circle is noticed."
    )


class PreviewCondition(serializers.Serializer[Any]):
    pointer = serializers.CharField(help_text="Its place in the rule.")
    text = serializers.CharField()
    vars()["pass"] = serializers.IntegerField(help_text="How many are left after it, in the order shown.")
    alone_out = serializers.IntegerField(help_text="How many it alone keeps out.")
    fails = serializers.IntegerField(help_text="For how many it does not hold; these overlap.")


class PreviewAnswer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="Exactly.")
    recognized = serializers.IntegerField()
    anonymous = serializers.IntegerField()
    sample = schema.Profile(
        many=True, help_text="The newest ten; empty for callers without the right to see people."
    )
    text = serializers.CharField(help_text="The rule in words.")
    ms = serializers.IntegerField(help_text="How long the database took to count.")
    conditions = PreviewCondition(many=True, help_text="Of each part of the outermost group that is on.")


class Preview(PersonalDataView):
    """A rule, counted."""

    permissions = {"POST": "segments.view_segment"}
    reads = frozenset({"POST"})

    @extend_schema(
        operation_id="previewSegment",
        tags=["Segments"],
        summary="Count the people a rule means",
        request=PreviewBody,
        responses={200: PreviewAnswer, 202: job_api.JobSerializer},
    )
    def post(self, request: Request) -> Response:
        """Saves nothing. Where it takes longer than some seconds it goes on in the background: 202 with a job, whose
        `result` has the same figures, and `sample_ids` for the sample.
        """
        body = self.body(PreviewBody)
        with pointing_at_rules():
            rule = parse_rule(body["rules"], Vocabulary(segment_id=body.get("segment")))
        try:
            result = preview_result(rule, milliseconds=preview.MILLISECONDS)
        except TooSlow:
            return self._go_on(rule)
        sample = self._people(result.pop("sample_ids"))
        return Response({**result, "sample": sample})

    def _people(self, ids: list[int]) -> list[dict[str, Any]]:
        if not self.actor.can(VIEW_PEOPLE):
            return []
        roots = Profile.objects.filter(pk__in=ids).defer("search").order_by("-pk")
        return self.presenter.profiles(list(roots))

    def _go_on(self, rule: Rule) -> Response:
        started = start_preview(rule, actor=self.actor)
        job = Job.objects.select_related("user", "key").get(pk=started.pk)
        answer = Response(job_api.as_api(job), status=202)
        answer["Location"] = f"/api/v1/jobs/{job.pk}/"
        return answer
