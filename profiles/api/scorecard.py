"""A span of days → the scorecard of each source or import; the alarms about sources, and the rules for duplicates."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.problems import BadParameter
from cdp.api.request_bodies import StrictSerializer
from cdp.errors import Invalid
from cdp.times import iso
from profiles.api.base import PersonalDataView
from profiles.models import DuplicatePolicy, Source, SourceAlarm
from profiles.pairs.policy import change_policy
from profiles.quality import alarms, import_figures, scorecard
from profiles.quality.import_figures import ImportFigures

_DAYS = OpenApiParameter("days", int, enum=list(scorecard.SPANS), default=30)
_VIEW = ("profiles.view_sourcealarm", "profiles.view_source")


class SourceName(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()


class CardRow(serializers.Serializer[Any]):
    source = SourceName()  # type: ignore[assignment]
    new_profiles = serializers.IntegerField()
    duplicates = serializers.IntegerField(
        help_text="Of the new profiles, those that are certainly or probably a person already known, or were merged."
    )
    duplicates_per_1000 = serializers.FloatField(allow_null=True, help_text="null without new profiles.")
    identifiers_as_attributes = serializers.IntegerField(help_text="Calls.")
    events = serializers.IntegerField()
    events_without_identity = serializers.IntegerField()
    schema_violations = serializers.IntegerField()
    late_identifies = serializers.IntegerField(help_text="Orders whose buyer was identified only afterwards.")
    identify_calls = serializers.IntegerField()
    update_calls = serializers.IntegerField()
    trend = serializers.ListField(
        child=serializers.IntegerField(), help_text="What was wrong on each day, today last."
    )


class ImportCardRow(serializers.Serializer[Any]):
    import_id = serializers.IntegerField()
    name = serializers.CharField(help_text="The file's.")
    new_profiles = serializers.IntegerField()
    duplicates = serializers.IntegerField(allow_null=True, help_text="null: counting took too long.")
    duplicates_per_1000 = serializers.FloatField(allow_null=True)
    identifiers_as_attributes = serializers.ListField(child=serializers.CharField(), help_text="Columns.")
    rows_without_identifier = serializers.IntegerField()
    conflicts = serializers.IntegerField(help_text="Rows whose identifiers resolve to two profiles.")
    applied_at = serializers.DateTimeField()


class AlarmRow(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    source = SourceName()  # type: ignore[assignment]
    signal = serializers.CharField(help_text=", ".join(SourceAlarm.Signal.values))
    sentence = serializers.CharField()
    fix = serializers.CharField(help_text="What to do about it.")
    began_at = serializers.DateTimeField(help_text="To the minute.")
    usual = serializers.FloatField(help_text="The share before, 0 to 1.")
    share = serializers.FloatField(help_text="The share in the hour last looked at, 0 to 1.")
    calls = serializers.IntegerField(help_text="How many calls that share is of.")
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    acknowledged_at = serializers.DateTimeField(allow_null=True)


class PolicyChanges(StrictSerializer):
    """What is left out stays. The verb reads and checks the values."""

    auto_merge = serializers.JSONField(required=False)
    auto_merge_cap = serializers.JSONField(required=False)
    report_to = serializers.JSONField(required=False)


class Learned(serializers.Serializer[Any]):
    slope = serializers.FloatField()
    offset = serializers.FloatField()
    decisions = serializers.IntegerField(help_text="0: as shipped.")
    fitted_at = serializers.DateTimeField(allow_null=True)


class PolicyRow(serializers.Serializer[Any]):
    auto_merge = serializers.BooleanField(help_text="Whether certain pairs are merged without asking.")
    auto_merge_cap = serializers.IntegerField(help_text="At most so many an hour, 1 to 10,000.")
    report_to = serializers.ListField(child=serializers.EmailField())
    reported_at = serializers.DateTimeField(allow_null=True)
    line = Learned(help_text="A pair's probability is 1 / (1 + 2 ** -(slope * score + offset)).")


_SPAN = {"days": serializers.IntegerField()}


class Scorecard(PersonalDataView):
    permissions = {"GET": _VIEW}
    ordering = ("id",)

    @extend_schema(
        operation_id="listScorecard",
        tags=["Duplicates"],
        summary="What each source sends, and how many duplicates it creates",
        parameters=[_DAYS, *api_schema.PAGE],
        responses={
            200: api_schema.page_of(CardRow, **_SPAN, counted_to=serializers.DateTimeField(allow_null=True))
        },
    )
    def get(self, request: Request) -> Response:
        """One row a source, over the last 7, 30 or 90 days, today included. `counted_to` is up to when."""
        self.known_parameters("days", "count")
        days = _days(request)
        answer = self.page(
            Source.objects.all(), lambda rows: [_card(card) for card in scorecard.cards(days, sources=rows)]
        )
        answer.data |= {"days": days, "counted_to": iso(scorecard.counted_to())}
        return answer


class ImportScorecard(PersonalDataView):
    permissions = {"GET": "imports.view_import"}

    @extend_schema(
        operation_id="listImportScorecard",
        tags=["Duplicates"],
        summary="How many of each import's new people are duplicates",
        parameters=[_DAYS, *api_schema.PAGE],
        responses={200: api_schema.page_of(ImportCardRow, **_SPAN)},
    )
    def get(self, request: Request) -> Response:
        """Imports of people applied in the last 7, 30 or 90 days, the newest first."""
        self.known_parameters("days", "count")
        days = _days(request)
        answer = self.page(
            import_figures.recent_imports(days),
            lambda rows: [_import(figures) for figures in import_figures.figures_of(rows)],
        )
        answer.data |= {"days": days}
        return answer


class AlarmList(PersonalDataView):
    permissions = {"GET": _VIEW}

    @extend_schema(
        operation_id="listSourceAlarms",
        tags=["Duplicates"],
        summary="Sources that changed what they send",
        parameters=[
            OpenApiParameter("acknowledged", bool, description="Only read ones, or only unread ones."),
            OpenApiParameter("source", int, description="Id of a source."),
            *api_schema.PAGE,
        ],
        responses={200: api_schema.page_of(AlarmRow)},
    )
    def get(self, request: Request) -> Response:
        """Newest first, those that are over as well."""
        self.known_parameters("acknowledged", "source", "count")
        alarm_rows = SourceAlarm.objects.select_related("source")
        if "acknowledged" in request.query_params:
            alarm_rows = alarm_rows.filter(acknowledged_at__isnull=not self.flag("acknowledged"))
        source = self.number("source")
        if source is not None:
            alarm_rows = alarm_rows.filter(source_id=source)
        return self.page(alarm_rows, lambda rows: [_alarm(row) for row in rows])


class AlarmAcknowledge(PersonalDataView):
    permissions = {"POST": ("profiles.view_sourcealarm", "profiles.change_sourcealarm")}

    @extend_schema(
        operation_id="acknowledgeSourceAlarm",
        tags=["Duplicates"],
        summary="Mark an alarm as read",
        request=None,
        responses={200: AlarmRow},
    )
    def post(self, request: Request, pk: int) -> Response:
        """No second alarm about the same change. Doing it twice changes nothing."""
        return Response(_alarm(alarms.acknowledge(alarm_id=pk, actor=self.actor)))


class Policy(PersonalDataView):
    permissions = {
        "GET": "profiles.view_duplicatepolicy",
        "PATCH": ("profiles.view_duplicatepolicy", "profiles.change_duplicatepolicy"),
    }

    @extend_schema(
        operation_id="getDuplicatePolicy",
        tags=["Duplicates"],
        summary="The rules for duplicates",
        responses={200: PolicyRow},
    )
    def get(self, request: Request) -> Response:
        return Response(_policy(DuplicatePolicy.current()))

    @extend_schema(
        operation_id="changeDuplicatePolicy",
        tags=["Duplicates"],
        summary="Change the rules for duplicates",
        request=PolicyChanges,
        responses={200: PolicyRow},
    )
    def patch(self, request: Request) -> Response:
        """What is left out stays."""
        return Response(_policy(change_policy(changes=self.body(PolicyChanges), actor=self.actor)))


def _days(request: Request) -> int:
    try:
        return scorecard.days_of(request.query_params.get("days"))
    except Invalid as error:
        problem = error.problems[0]
        raise BadParameter(problem["field"], problem["message"], problem["value"]) from error


def _source(source: Source) -> dict[str, Any]:
    return {"id": source.pk, "name": source.name}


def _card(card: scorecard.SourceCard) -> dict[str, Any]:
    figures = card.figures
    return {
        "source": _source(card.source),
        "new_profiles": figures.new_profiles,
        "duplicates": figures.duplicates,
        "duplicates_per_1000": figures.duplicates_per_1000,
        "identifiers_as_attributes": figures.attribute_ids,
        "events": figures.events,
        "events_without_identity": figures.unknown_events,
        "schema_violations": figures.violations,
        "late_identifies": figures.late_identifies,
        "identify_calls": figures.identifies,
        "update_calls": figures.updates,
        "trend": card.trend,
    }


def _import(figures: ImportFigures) -> dict[str, Any]:
    return {
        "import_id": figures.import_id,
        "name": figures.name,
        "new_profiles": figures.created,
        "duplicates": figures.duplicates,
        "duplicates_per_1000": figures.duplicates_per_1000,
        "identifiers_as_attributes": figures.attribute_columns,
        "rows_without_identifier": figures.without_identifier,
        "conflicts": figures.conflicts,
        "applied_at": iso(figures.applied_at),
    }


def _alarm(row: SourceAlarm) -> dict[str, Any]:
    return {
        "id": row.pk,
        "source": _source(row.source),
        "signal": row.signal,
        "sentence": row.sentence,
        "fix": alarms.fix_of(row),
        "began_at": iso(row.began_at),
        "usual": row.usual,
        "share": row.share,
        "calls": row.calls,
        "created_at": iso(row.created_at),
        "ended_at": iso(row.ended_at),
        "acknowledged_at": iso(row.acknowledged_at),
    }


def _policy(policy: DuplicatePolicy) -> dict[str, Any]:
    return {
        "auto_merge": policy.auto_merge,
        "auto_merge_cap": policy.auto_merge_cap,
        "report_to": policy.report_to,
        "reported_at": iso(policy.reported_at),
        "line": {
            "slope": policy.calibration_slope,
            "offset": policy.calibration_offset,
            "decisions": policy.calibration_decisions,
            "fitted_at": iso(policy.fitted_at),
        },
    }
