"""A segment and a person → why they are in or not; and who is almost in, and how many of the members can be written to."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.pagination import link, page_size, read_cursor, write_cursor
from cdp.api.problems import BadParameter
from cdp.errors import RuleForbids
from cdp.times import iso
from profiles import masking
from profiles.api import parameters, schema
from profiles.api.base import PersonalDataView
from profiles.consent.lists import consent_lists
from profiles.consent.words import WordList
from profiles.models import Profile
from segments.api.base import find_segment, in_time, rule_of
from segments.evaluate.almost import almost_in
from segments.evaluate.explain import ExplainedPart, Explanation, explain
from segments.evaluate.reach import GROUPS, reach_of
from segments.membership.of_profiles import pick_of, segments_of
from segments.models import HandPick, Membership

_CURSOR = ("almost",)


class ExplainedCondition(serializers.Serializer[Any]):
    pointer = serializers.CharField(help_text="Its place in the rule; empty for the outermost group.")
    depth = serializers.IntegerField(help_text="Groups have a line of their own, before what is in them.")
    text = serializers.CharField()
    holds = serializers.BooleanField()
    actual = serializers.CharField(
        help_text="What they have instead, or why it holds. Masked where it is personal and you lack the scope `pii`."
    )
    changes_at = serializers.DateTimeField(
        allow_null=True, help_text="When time alone changes the answer; null if it does not."
    )


class PickOfProfile(serializers.Serializer[Any]):
    always = serializers.ChoiceField(choices=["in", "out"])
    reason = serializers.CharField(help_text="Masked without the scope `pii`.")
    at = serializers.DateTimeField()


class Explained(serializers.Serializer[Any]):
    member = serializers.BooleanField(help_text="Whether they are in it, as it is stored now.")
    since = serializers.DateTimeField(allow_null=True)
    by_rule = serializers.BooleanField(
        allow_null=True, help_text="What the rule alone says this moment; null for a segment by hand."
    )
    conditions = ExplainedCondition(many=True)
    changes_at = serializers.DateTimeField(
        allow_null=True, help_text="When time alone changes what the rule says, if nothing else happens."
    )
    picked = PickOfProfile(allow_null=True, help_text="Put in or kept out by hand, whatever the rule says.")


class MissingCondition(serializers.Serializer[Any]):
    pointer = serializers.CharField(help_text="Its place in the rule.")
    text = serializers.CharField()


class AlmostIn(serializers.Serializer[Any]):
    profile = schema.Profile()
    missing = MissingCondition(help_text="The one condition they do not meet.")


class ReachGroupSerializer(serializers.Serializer[Any]):
    code = serializers.ChoiceField(choices=list(GROUPS))
    text = serializers.CharField()
    count = serializers.IntegerField()


class ReachAnswer(serializers.Serializer[Any]):
    channel = serializers.CharField()
    purpose = serializers.CharField(allow_null=True)
    members = serializers.IntegerField()
    reachable = serializers.IntegerField()
    no_consent = serializers.IntegerField()
    anonymous = serializers.IntegerField()
    likely_duplicate = serializers.IntegerField()
    no_address = serializers.IntegerField()
    groups = ReachGroupSerializer(many=True, help_text="The same with its words, in the order it is asked.")


class Explain(PersonalDataView):
    """Why is somebody in a segment, or not?"""

    permissions = {"GET": ("segments.view_membership", "profiles.view_profile")}

    @extend_schema(
        operation_id="explainSegment",
        tags=["Segments"],
        summary="Why somebody is in a segment or not",
        parameters=[parameters.REF],
        responses={200: Explained, **api_schema.errors(422)},
    )
    def get(self, request: Request, pk: int, ref: str) -> Response:
        """Each condition with what the person has, and when time will change it. `member` is what is stored, which is seconds
        behind at most; `conditions` are asked now.
        """
        self.known_parameters()
        segment = find_segment(pk)
        root = self.find().root
        rule = rule_of(segment)
        explained = explain(rule, root.pk) if rule is not None else None
        own = [row for row in segments_of([root.pk], archived=True).get(root.pk, []) if row["id"] == pk]
        return Response(
            {
                "member": bool(own),
                "since": own[0]["entered_at"] if own else None,
                "by_rule": explained.is_in if explained else None,
                "conditions": self._conditions(explained),
                "changes_at": iso(explained.changes_at) if explained else None,
                "picked": self._picked(pick_of(segment.pk, root.pk)),
            }
        )

    def _conditions(self, explained: Explanation | None) -> list[dict[str, Any]]:
        return [self._condition(part) for part in explained.parts] if explained else []

    def _condition(self, part: ExplainedPart) -> dict[str, Any]:
        finding = part.finding
        actual = finding.actual if finding else ""
        if finding and finding.is_personal and actual and not self.presenter.can_view_pii:
            actual = masking.DOTS
        return {
            "pointer": part.pointer,
            "depth": part.depth,
            "text": part.text,
            "holds": part.holds,
            "actual": actual,
            "changes_at": iso(finding.changes_at) if finding else None,
        }

    def _picked(self, pick: HandPick | None) -> dict[str, Any] | None:
        if pick is None:
            return None
        reason = pick.reason
        if reason and not self.presenter.can_view_pii:
            reason = masking.mask_note(reason)
        return {"always": "in" if pick.is_in else "out", "reason": reason, "at": iso(pick.created_at)}


class Almost(PersonalDataView):
    """Who is almost in?"""

    permissions = {"GET": ("segments.view_segment", "profiles.view_profile")}

    @extend_schema(
        operation_id="listAlmostInSegment",
        tags=["Segments"],
        summary="Who meets all conditions but one",
        parameters=api_schema.PAGE[:2],
        responses={200: api_schema.page_of(AlmostIn), **api_schema.errors(422)},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Newest first, of a rule that begins with `all`; a group in it counts as one condition. Without people who were put in
        or are kept out by hand. `previous` is always null.
        """
        self.known_parameters()
        segment = find_segment(pk)
        rule = rule_of(segment)
        if rule is None:
            raise RuleForbids(f"“{segment.name}” is by hand: nobody is almost in it.")
        size = page_size(request)
        cursor = request.query_params.get("cursor")
        before = int(read_cursor(cursor, _CURSOR)[0][0]) if cursor else None
        with in_time():
            found = almost_in(rule, segment.pk, before=before, limit=size + 1)
        page = found[:size]
        roots = Profile.objects.filter(pk__in=[row.profile_id for row in page]).defer("search")
        profiles = {row["id"]: row for row in self.presenter.profiles(list(roots))}
        older = write_cursor(_CURSOR, [page[-1].profile_id], is_back=False) if len(found) > size else None
        return Response(
            {
                "next": link(request, older) if older else None,
                "previous": None,
                "results": [
                    {
                        "profile": profiles[row.profile_id],
                        "missing": {"pointer": row.part.pointer, "text": row.part.words},
                    }
                    for row in page
                    if row.profile_id in profiles
                ],
            }
        )


class Reach(PersonalDataView):
    """How many of the members can be written to?"""

    permissions = {"GET": "segments.view_segment"}

    @extend_schema(
        operation_id="getSegmentReach",
        tags=["Segments"],
        summary="How many of the members can be written to, and why not the others",
        parameters=[
            OpenApiParameter(
                "channel", str, required=True, description="A channel of consents: email, sms …"
            ),
            OpenApiParameter("purpose", str, description="A purpose of consents; any when left out."),
        ],
        responses={200: ReachAnswer},
    )
    def get(self, request: Request, pk: int) -> Response:
        """Everybody once, in the first group that holds: reachable · has an address and no consent that counts for it ·
        anonymous without an address · likely the same person as another profile · without an address. The groups add up
        to `members`.
        """
        self.known_parameters("channel", "purpose")
        segment = find_segment(pk)
        lists = consent_lists()
        channel = self._word(lists.channels, "channel")
        purpose = self._word(lists.purposes, "purpose") if request.query_params.get("purpose") else ""
        current = Membership.objects.current().filter(segment=segment)
        groups = reach_of(
            Profile.objects.live().filter(pk__in=current.values("profile_id")), channel, purpose
        )
        return Response(
            {
                "channel": channel,
                "purpose": purpose or None,
                "members": sum(group.people for group in groups),
                **{group.code: group.people for group in groups},
                "groups": [
                    {"code": group.code, "text": group.text, "count": group.people} for group in groups
                ],
            }
        )

    def _word(self, words: WordList, name: str) -> str:
        raw = self.request.query_params.get(name, "")
        word = words.find(raw)
        if word is None:
            raise BadParameter(name, words.unknown(raw), raw)
        return word.name
