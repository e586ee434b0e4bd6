"""Calls on suggested duplicates → pairs and groups, what was decided about them, and the job of a full scan."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import jobs as job_api
from cdp.api import schema as api_schema
from cdp.api.parameters import choice
from cdp.api.problems import BadParameter
from cdp.api.request_bodies import IdField, StrictSerializer, TextField
from cdp.errors import Invalid
from cdp.looks import saw
from cdp.models import Job
from cdp.times import iso
from profiles import masking
from profiles.api.base import PersonalDataView
from profiles.duplicates.finding.full_scan import PERMISSION, start_scan
from profiles.duplicates.review.decide import MERGE, VERDICTS, StalePair, decide, find_pair, state_of
from profiles.duplicates.review.decide_cluster import (
    block_shared,
    case_profiles,
    find_case,
    leave_shared,
    merge_case,
    separate_case,
)
from profiles.duplicates.review.decide_cluster import state_of as state_of_case
from profiles.duplicates.review.explain import explain, probability
from profiles.duplicates.review.pair_text import pair_text
from profiles.duplicates.review.queue import sources_named, with_profiles
from profiles.duplicates.scoring.tiers import tier_reason
from profiles.identity.lookup import find_visible
from profiles.models import DuplicateCase, DuplicatePair, DuplicatePolicy, Tier
from profiles.pairs.verdicts import LATER_DAYS

_ANY = "any"
_FILTERS = [
    OpenApiParameter(
        "verdict", str, enum=[*DuplicatePair.Verdict.values, _ANY], default="open", description="Which pairs."
    ),
    OpenApiParameter("tier", str, enum=Tier.values, description="How sure; every tier when absent."),
    OpenApiParameter("min_score", float, description="In bits, at least."),
    OpenApiParameter("profile", str, description="Pairs with this person: an id or type:value."),
    OpenApiParameter("source", str, description="Name or id of the source that created the newer profile."),
]
DECISIONS_OF_CASES = ("merge", "separate", "block", "share")


class ReasonRow(serializers.Serializer[Any]):
    field = serializers.CharField(help_text="Empty for what two fields say together.")
    a = serializers.CharField()
    b = serializers.CharField()
    weight = serializers.FloatField(help_text="In bits; above 0 suggests one person.")
    text = serializers.CharField()


class PairRow(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    a = serializers.IntegerField(help_text="The surviving profile.")
    b = serializers.IntegerField(help_text="The surviving profile.")
    tier = serializers.CharField(help_text=", ".join(Tier.values))
    score = serializers.FloatField(help_text="In bits: 0 is as likely as not, one more doubles the odds.")
    probability = serializers.FloatField(help_text="By the calibration learned from the decisions made here.")
    text = serializers.CharField(
        help_text="The pair in one sentence: the tier in words, what the probability means, and why it is asked."
    )
    start = serializers.FloatField(
        help_text="In bits, what every pair begins with: it and the weights of the reasons add up to the score."
    )
    reasons = ReasonRow(many=True)
    rule = serializers.CharField(
        help_text="What makes it certain or rules out a merge, as a sentence; or empty."
    )
    verdict = serializers.CharField(help_text=", ".join(DuplicatePair.Verdict.values))
    through = serializers.IntegerField(
        allow_null=True,
        help_text="The third profile that both probably are, where the two have little else in common.",
    )
    found_by = serializers.CharField(help_text=", ".join(DuplicatePair.FoundBy.values))
    case_id = serializers.IntegerField(allow_null=True)
    assignee = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    later_until = serializers.DateTimeField(allow_null=True)
    state = serializers.CharField(help_text="Send it with a decision, to decide about just what you saw.")


class DecidedPair(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    verdict = serializers.CharField()
    message = serializers.CharField()
    merge_id = serializers.IntegerField(allow_null=True)
    winner_id = serializers.IntegerField(allow_null=True)
    loser_id = serializers.IntegerField(allow_null=True)


class PairProblem(api_schema.Problem):
    pair = PairRow(required=False, allow_null=True, help_text="As it is now; null when it is gone.")


class DecidePairBody(StrictSerializer):
    """What to do with a suggested pair."""

    verdict = TextField(help_text=", ".join(VERDICTS))
    winner_id = IdField(required=False, help_text="Who survives a merge; the suggested one when absent.")
    choices = serializers.DictField(child=serializers.CharField(), required=False)
    state = TextField(
        required=False, help_text="From the pair that was looked at; a 409 when it changed since."
    )
    days = serializers.IntegerField(
        required=False, help_text=f"How long *later* is; {LATER_DAYS} when absent."
    )


def pair_as_api(pair: DuplicatePair, policy: DuplicatePolicy, *, can_view_pii: bool) -> dict[str, Any]:
    """One pair of the contract; masked without ``can_view_pii``. No query when both profiles are loaded."""
    saw([pair.a.canonical_id, pair.b.canonical_id])
    reasons: list[dict[str, Any]] = [
        {
            "field": reason.field,
            "a": reason.a,
            "b": reason.b,
            "weight": round(reason.weight, 2),
            "text": reason.text,
        }
        for reason in explain(pair, can_view_pii=can_view_pii)
    ]
    return {
        "id": pair.pk,
        "a": pair.a.canonical_id,
        "b": pair.b.canonical_id,
        "tier": pair.tier,
        "score": round(pair.score, 2),
        "probability": round(probability(pair.score, policy), 4),
        "text": str(pair_text(pair, policy)),
        "start": round(round(pair.score, 2) - sum(reason["weight"] for reason in reasons), 2)
        if reasons
        else 0.0,
        "reasons": reasons,
        "rule": tier_reason(pair.rule, pair.veto),
        "through": pair.through_id,
        "verdict": pair.verdict,
        "found_by": pair.found_by,
        "case_id": pair.case_id,
        "assignee": pair.assignee.get_username() if pair.assignee else None,
        "created_at": iso(pair.created_at),
        "decided_at": iso(pair.decided_at),
        "later_until": iso(pair.later_until),
        "state": state_of(pair),
    }


class DuplicateList(PersonalDataView):
    permissions = {"GET": "profiles.view_duplicatepair"}

    @extend_schema(
        operation_id="listDuplicates",
        tags=["Duplicates"],
        summary="Pairs that may be one person",
        parameters=[*_FILTERS, *api_schema.PAGE],
        responses={200: api_schema.page_of(PairRow)},
    )
    def get(self, request: Request) -> Response:
        """Suggested pairs with the reasons for and against them, newest first; open ones unless `verdict` says
        otherwise. `related` are households and companies: two people, never to be merged.
        """
        self.known_parameters("verdict", "tier", "min_score", "profile", "source", "count")
        policy = DuplicatePolicy.current()
        return self.page(
            with_profiles(self._pairs()),
            lambda rows: [pair_as_api(row, policy, can_view_pii=self.presenter.can_view_pii) for row in rows],
            counted=self._pairs(),
        )

    def _pairs(self) -> QuerySet[DuplicatePair]:
        pairs, params = DuplicatePair.objects.all(), self.request.query_params
        verdict = choice(self.request, "verdict", [*DuplicatePair.Verdict.values, _ANY], default="open")
        if verdict != _ANY:
            pairs = pairs.filter(verdict=verdict)
        if tier := choice(self.request, "tier", Tier.values):
            pairs = pairs.filter(tier=tier)
        if raw := params.get("min_score"):
            try:
                pairs = pairs.filter(score__gte=float(raw))
            except ValueError:
                raise BadParameter("min_score", "min_score is a number of bits, such as 3.5.", raw) from None
        if ref := params.get("profile"):
            root = find_visible(ref, actor=self.actor).root.pk
            pairs = pairs.filter(Q(a__canonical=root) | Q(b__canonical=root))
        if source := params.get("source"):
            if not sources_named(source).exists():
                raise BadParameter("source", f"There is no source “{source}”.", source)
            pairs = pairs.filter(b__source__in=sources_named(source))
        return pairs


class DuplicateDetail(PersonalDataView):
    permissions = {"GET": "profiles.view_duplicatepair"}

    @extend_schema(
        operation_id="getDuplicate",
        tags=["Duplicates"],
        summary="One suggested pair",
        responses={200: PairRow, **api_schema.errors(409)},
    )
    def get(self, request: Request, pk: int) -> Response:
        """The pair as it is now, decided or not; 409 when it was suggested once and is gone."""
        return Response(
            pair_as_api(find_pair(pk), DuplicatePolicy.current(), can_view_pii=self.presenter.can_view_pii)
        )


class DuplicateDecide(PersonalDataView):
    permissions = {"POST": ("profiles.view_duplicatepair", "profiles.change_duplicatepair")}

    @extend_schema(
        operation_id="decideDuplicate",
        tags=["Duplicates"],
        summary="Decide about a suggested pair",
        request=DecidePairBody,
        responses={
            200: DecidedPair,
            **api_schema.errors(409, problem=PairProblem),
        },
    )
    def post(self, request: Request, pk: int) -> Response:
        """`merge` joins the two (undo it with the merge's id). `not_duplicate` is remembered and respected by every
        channel. `later` brings the pair back in `days`. `open` takes `later` and `not_duplicate` back. A pair that was
        merged, erased or, where `state` is sent, edited meanwhile is a 409 with `pair` as it is now.
        """
        body = self.body(DecidePairBody)
        if body["verdict"] == MERGE:
            self.require("profiles.merge_profile")
        try:
            done = decide(
                pair_id=pk,
                verdict=body["verdict"],
                winner_id=body.get("winner_id"),
                choices=body.get("choices"),
                state=body.get("state"),
                days=body.get("days") or LATER_DAYS,
                **self.verb(),
            )
        except StalePair as stale:
            pair = stale.pair and pair_as_api(
                find_pair(pk), DuplicatePolicy.current(), can_view_pii=self.presenter.can_view_pii
            )
            stale.extra = {"pair": pair}
            raise
        return Response(
            {
                "id": done.pair_id,
                "verdict": done.verdict,
                "message": done.message,
                "merge_id": done.merge_id,
                "winner_id": done.winner_id,
                "loser_id": done.loser_id,
            }
        )


class DuplicateScan(PersonalDataView):
    permissions = {"POST": PERMISSION}

    @extend_schema(
        operation_id="scanForDuplicates",
        tags=["Duplicates"],
        summary="Compare all profiles with each other",
        request=None,
        responses={202: job_api.JobSerializer},
    )
    def post(self, request: Request) -> Response:
        """Starts a job; while one is under way, answers with that. It finds and explains, and merges nobody."""
        job = start_scan(actor=self.actor)
        return Response(job_api.as_api(Job.objects.select_related("user", "key").get(pk=job.pk)), status=202)


# --- Cases --------------------------------------------------------------------------------------------------


class CaseRow(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.CharField(help_text=", ".join(DuplicateCase.Kind.values))
    state = serializers.CharField(help_text=", ".join(DuplicateCase.State.values))
    members = serializers.ListField(child=serializers.IntegerField(), help_text="Up to 100 of them.")
    size = serializers.IntegerField(help_text="How many profiles, also beyond those named.")
    tier = serializers.CharField(help_text="Of its weakest link.")
    score = serializers.FloatField()
    weakest_id = serializers.IntegerField(allow_null=True, help_text="The pair to look at first.")
    problem = serializers.CharField(
        help_text="Why it is never merged without a person; empty when it may be."
    )
    type = serializers.CharField(allow_null=True)
    value = serializers.CharField(help_text="What a shared value case is about.")
    created_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)


class CaseWhole(CaseRow):
    state_hash = serializers.CharField(help_text="Send it as `state` with a decision; empty for a value.")


class DecideCaseBody(StrictSerializer):
    """What to do with a case."""

    decision = TextField(help_text="Of people: merge, separate. Of a shared value: block, share.")
    winner_id = IdField(required=False, help_text="Who survives a merge.")
    members = serializers.ListField(child=IdField(), required=False)
    state = TextField(required=False, help_text="As GET answered; a 409 when somebody changed since.")


class DecidedCaseAnswer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    state = serializers.CharField()
    message = serializers.CharField()
    winner_id = serializers.IntegerField(allow_null=True)
    merge_ids = serializers.ListField(child=serializers.IntegerField())


def case_as_api(case: DuplicateCase, *, can_view_pii: bool) -> dict[str, Any]:
    saw(case.members[:100])
    kind = case.type.name if case.type else None
    value = case.value if can_view_pii or not case.value else masking.mask_identifier(kind or "", case.value)
    return {
        "id": case.pk,
        "kind": case.kind,
        "state": case.state,
        "members": case.members[:100],
        "size": case.size,
        "tier": case.tier,
        "score": round(case.score, 2),
        "weakest_id": case.weakest_id,
        "problem": case.problem,
        "type": kind,
        "value": value,
        "created_at": iso(case.created_at),
        "decided_at": iso(case.decided_at),
    }


class CaseList(PersonalDataView):
    permissions = {"GET": "profiles.view_duplicatecase"}

    @extend_schema(
        operation_id="listDuplicateCases",
        tags=["Duplicates"],
        summary="Groups of people who may be one, and values too many share",
        parameters=[
            OpenApiParameter("kind", str, enum=DuplicateCase.Kind.values),
            OpenApiParameter("state", str, enum=DuplicateCase.State.values, default="open"),
            *api_schema.PAGE,
        ],
        responses={200: api_schema.page_of(CaseRow)},
    )
    def get(self, request: Request) -> Response:
        self.known_parameters("kind", "state", "count")
        state = choice(request, "state", DuplicateCase.State.values, default="open")
        cases = DuplicateCase.objects.select_related("type").filter(state=state)
        if kind := choice(request, "kind", DuplicateCase.Kind.values):
            cases = cases.filter(kind=kind)
        return self.page(
            cases, lambda rows: [case_as_api(row, can_view_pii=self.presenter.can_view_pii) for row in rows]
        )


class CaseDetail(PersonalDataView):
    permissions = {"GET": "profiles.view_duplicatecase"}

    @extend_schema(
        operation_id="getDuplicateCase",
        tags=["Duplicates"],
        summary="One case",
        responses={200: CaseWhole},
    )
    def get(self, request: Request, pk: int) -> Response:
        """With `state_hash`, which a decision about just this takes."""
        case = find_case(pk)
        hashed = state_of_case(case, case_profiles(case)) if case.kind == DuplicateCase.Kind.PEOPLE else ""
        return Response({**case_as_api(case, can_view_pii=self.presenter.can_view_pii), "state_hash": hashed})


class CaseDecide(PersonalDataView):
    permissions = {"POST": ("profiles.view_duplicatecase", "profiles.change_duplicatecase")}

    @extend_schema(
        operation_id="decideDuplicateCase",
        tags=["Duplicates"],
        summary="Decide about a case",
        request=DecideCaseBody,
        responses={200: DecidedCaseAnswer},
    )
    def post(self, request: Request, pk: int) -> Response:
        """`merge` joins the members (all, or those named) into `winner_id`: all of them or, when one is refused,
        nobody. `separate` remembers that all are different people. `block` makes a shared value identify nobody;
        `share` leaves it and does not ask again.
        """
        body = self.body(DecideCaseBody)
        done = self._decide(pk, body)
        return Response(
            {
                "id": done.case_id,
                "state": done.state,
                "message": done.message
                if self.presenter.can_view_pii or done.state != "blocked"
                else "Blocked.",
                "winner_id": done.winner_id,
                "merge_ids": list(done.merge_ids),
            }
        )

    def _decide(self, pk: int, body: dict[str, Any]) -> Any:
        decision = body["decision"]
        if decision == "merge":
            self.require("profiles.merge_profile")
            if not body.get("winner_id"):
                raise Invalid([{"field": "winner_id", "value": None, "message": "Name the profile to keep."}])
            return merge_case(
                case_id=pk,
                winner_id=body["winner_id"],
                members=body.get("members"),
                state=body.get("state"),
                **self.verb(),
            )
        if decision == "separate":
            return separate_case(case_id=pk, state=body.get("state"), actor=self.actor)
        if decision == "block":
            self.require("profiles.change_identifiertype")
            return block_shared(case_id=pk, actor=self.actor)
        if decision == "share":
            return leave_shared(case_id=pk, actor=self.actor)
        message = f"The decision is one of {', '.join(DECISIONS_OF_CASES)}, not “{decision}”."
        raise Invalid([{"field": "decision", "value": decision, "message": message}])
