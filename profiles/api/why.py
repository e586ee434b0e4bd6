"""Two profiles → why they are separate; the code of an offered fix → its preview, or the fixed profile."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.request_bodies import StrictSerializer, TextField
from cdp.looks import saw
from cdp.times import iso
from profiles.api import parameters, schema
from profiles.api.base import PersonalDataView, reload
from profiles.duplicates.why import (
    Finding,
    Fix,
    FixPreview,
    ProfilePair,
    apply_fix,
    find_profile_pair,
    preview_fix,
    profiles_of_pair,
    why,
)
from profiles.duplicates.why.diagnose import value_display
from profiles.duplicates.why.fixes import NEEDS, TITLES

_VIEW = ("profiles.view_profile", "profiles.view_duplicatepair")
_FIX = (*_VIEW, "profiles.change_duplicatepair")


class SourceFixRow(serializers.Serializer[Any]):
    text = serializers.CharField()
    language = serializers.CharField(
        help_text="shell, javascript, json, or empty where there is nothing to copy"
    )
    code = serializers.CharField(help_text="The call or mapping to copy, with the values of the case.")


class FixRow(serializers.Serializer[Any]):
    code = serializers.CharField(help_text=", ".join(TITLES))
    text = serializers.CharField()
    joins = serializers.BooleanField(help_text="Whether the two are one profile afterwards.")
    needs = serializers.ListField(child=serializers.CharField(), help_text="Permissions it asks for.")
    source = SourceFixRow(allow_null=True)  # type: ignore[assignment]


class FindingRow(serializers.Serializer[Any]):
    code = serializers.CharField()
    text = serializers.CharField()
    value = serializers.CharField(allow_null=True, help_text="Masked without the scope pii.")
    stored_as = serializers.CharField(
        allow_null=True,
        help_text="hard_identifier, soft_identifier, pending_identifier, contact_value, attribute, event_property,"
        " decision, lock",
    )
    profile_id = serializers.IntegerField(allow_null=True, help_text="The surviving profile that has it.")
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    via = serializers.CharField(allow_null=True, help_text="The call, the file's row and column, the key.")
    at = serializers.DateTimeField(allow_null=True)
    fix = FixRow(allow_null=True, help_text="The likeliest one.")
    fixes = FixRow(many=True, help_text="Every one that is offered, the likeliest first.")


class WhyAnswer(serializers.Serializer[Any]):
    a = serializers.IntegerField()
    b = serializers.IntegerField()
    findings = FindingRow(many=True)


class FixAnswer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    joined = serializers.BooleanField()
    merge_id = serializers.IntegerField(allow_null=True)
    loser_id = serializers.IntegerField(allow_null=True)
    profile = schema.Profile(help_text="The surviving profile.")


class FixPreviewAnswer(serializers.Serializer[Any]):
    """What a fix would do; with `dry_run=true`."""

    code = serializers.CharField()
    text = serializers.CharField()
    joins = serializers.BooleanField()
    steps = serializers.ListField(child=serializers.CharField())
    preview_hash = serializers.CharField(allow_null=True)
    merge = schema.MergePreview(allow_null=True)


FIXED_OR_PREVIEW = api_schema.one_of("FixedOrPreview", FixAnswer, FixPreviewAnswer)


class FixBody(StrictSerializer):
    """Which of the offered fixes to carry out."""

    code = TextField(help_text=", ".join(TITLES))
    preview_hash = TextField(
        required=False, help_text="From the dry run; a 409 when either side changed since."
    )


class _Why(PersonalDataView):
    permissions = {"GET": _VIEW}

    def answer(self, two: ProfilePair) -> Response:
        findings = why(
            two, display=value_display(self.presenter.can_view_pii), base_url=settings.CDP_URL.rstrip("/")
        )
        saw([two.a.pk, two.b.pk])
        return Response(
            {"a": two.a.pk, "b": two.b.pk, "findings": [_finding(finding) for finding in findings]}
        )


class _WhyFix(PersonalDataView):
    permissions = {"POST": _FIX}

    def fix(self, two: ProfilePair) -> Response:
        body = self.body(FixBody)
        if self.is_dry_run:
            see = value_display(self.presenter.can_view_pii)
            saw([two.a.pk, two.b.pk])
            return Response(self._preview(preview_fix(two, code=body["code"], display=see, **self.verb())))
        done = apply_fix(
            a_id=two.a.pk,
            b_id=two.b.pk,
            code=body["code"],
            preview_hash=body.get("preview_hash"),
            **self.verb(),
        )
        return Response(
            {
                "code": done.code,
                "message": done.message,
                "joined": done.is_merged,
                "merge_id": done.merge_id,
                "loser_id": done.loser_id,
                "profile": self.presenter.profile(reload(done.profile_id)),
            }
        )

    def _preview(self, preview: FixPreview) -> dict[str, Any]:
        merge = self.presenter.preview(preview.merge) if preview.merge else None
        return {
            "code": preview.code,
            "text": preview.text,
            "joins": preview.merges,
            "steps": preview.steps,
            "preview_hash": preview.merge.preview_hash if preview.merge else None,
            "merge": merge,
        }


class PairWhy(_Why):
    @extend_schema(
        operation_id="whyIsPairSeparate",
        tags=["Duplicates"],
        summary="Why are the two of a pair separate?",
        responses={200: WhyAnswer, **api_schema.errors(422)},
    )
    def get(self, request: Request, pair_id: int) -> Response:
        """What links the two and where it is stored, who wrote it so, and what mends the data and the source."""
        return self.answer(profiles_of_pair(pair_id))


class PairWhyFix(_WhyFix):
    @extend_schema(
        operation_id="fixPair",
        tags=["Duplicates"],
        summary="Carry out a fix for a pair",
        request=FixBody,
        responses={200: FIXED_OR_PREVIEW},
    )
    def post(self, request: Request, pair_id: int) -> Response:
        """With `dry_run=true` answers with `steps` and the preview of the merge. Fixes that join need the scope merge,
        those that add an identifier profiles:write, too. Every merge can be undone.
        """
        return self.fix(profiles_of_pair(pair_id))


class ProfileWhy(_Why):
    @extend_schema(
        operation_id="whyAreProfilesSeparate",
        tags=["Duplicates"],
        summary="Why are two profiles separate?",
        parameters=[parameters.REF],
        responses={200: WhyAnswer, **api_schema.errors(422)},
    )
    def get(self, request: Request, ref: str, other: str) -> Response:
        """Any two, each by id or `type:value`. One person is a 422."""
        return self.answer(find_profile_pair(ref, other))


class ProfileWhyFix(_WhyFix):
    @extend_schema(
        operation_id="fixProfiles",
        tags=["Duplicates"],
        summary="Carry out a fix for two profiles",
        parameters=[parameters.REF],
        request=FixBody,
        responses={200: FIXED_OR_PREVIEW},
    )
    def post(self, request: Request, ref: str, other: str) -> Response:
        """As for a pair."""
        return self.fix(find_profile_pair(ref, other))


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "text": finding.text,
        "value": finding.value or None,
        "stored_as": finding.stored_as or None,
        "profile_id": finding.profile_id,
        "source": finding.source or None,
        "via": finding.via or None,
        "at": iso(finding.at),
        "fix": _fix(finding.fix) if finding.fix else None,
        "fixes": [_fix(fix) for fix in finding.fixes],
    }


def _fix(fix: Fix) -> dict[str, Any]:
    source = fix.source
    return {
        "code": fix.code,
        "text": fix.text,
        "joins": fix.merges,
        "needs": list(NEEDS[fix.code]),
        "source": {"text": source.text, "language": source.language, "code": source.code} if source else None,
    }
