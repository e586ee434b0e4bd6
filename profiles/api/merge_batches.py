"""Thousands of pairs in one call → a merge batch and its job; the outcome of each pair, and undoing the batch."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import jobs as job_api
from cdp.api import schema as api_schema
from cdp.api.parameters import choice
from cdp.api.request_bodies import BAD_ID, IdField, StrictSerializer, TextField, read_id
from cdp.api.views import rows
from cdp.errors import Invalid
from cdp.models import Job
from cdp.times import iso
from profiles.api.base import PersonalDataView
from profiles.merging.batches.apply import start_batch
from profiles.merging.batches.freeze import PERMISSION, BatchPair, find_batch, make_batch
from profiles.merging.batches.preview import preview_of
from profiles.merging.batches.undo import undo_batch
from profiles.models import MergeBatch, MergeBatchRow

MAX_PAIRS = 10_000
_JOINED = ("job", "undo_job", "user", "key")


class PairBody(StrictSerializer):
    winner_id = IdField()
    loser_id = IdField()


class BulkBody(StrictSerializer):
    # Describes the body; ``_pairs`` reads it.
    pairs = PairBody(many=True)
    title = TextField(required=False, max_length=200)


class StartedBatch(job_api.JobSerializer):
    batch_id = serializers.IntegerField()


class BatchTotals(serializers.Serializer[Any]):
    """What the merges of a batch would do, added up."""

    merges = serializers.IntegerField()
    people = serializers.IntegerField(help_text="Surviving profiles.")
    skipped = serializers.DictField(child=serializers.IntegerField(), help_text="By code.")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.IntegerField(), help_text="Where both have a value and the winner's stays."
    )
    filled = serializers.DictField(
        child=serializers.IntegerField(), help_text="Where only the loser has a value."
    )
    ruled = serializers.DictField(
        child=serializers.IntegerField(),
        required=False,
        help_text="Where both have a value and the attribute's own merge rule decides.",
    )
    consents = serializers.IntegerField(help_text="Where the two decided differently.")
    moved = serializers.DictField(child=serializers.IntegerField(), help_text="What comes over, by kind.")
    segments = serializers.DictField(child=serializers.IntegerField())


class BatchPreview(serializers.Serializer[Any]):
    """With `dry_run=true`."""

    preview = BatchTotals()


class MergeBatchSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    title = serializers.CharField()
    origin = serializers.CharField(help_text=", ".join(MergeBatch.Origin.values))
    state = serializers.CharField(help_text=", ".join(MergeBatch.State.values))
    size = serializers.IntegerField(help_text="How many pairs.")
    counts = serializers.DictField(help_text="`merged`, `skipped`, `undone`, `kept`")
    preview = serializers.DictField()
    job_id = serializers.IntegerField(allow_null=True)
    undo_job_id = serializers.IntegerField(allow_null=True)
    actor = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    undone_at = serializers.DateTimeField(allow_null=True)


class MergeBatchRowSerializer(serializers.Serializer[Any]):
    position = serializers.IntegerField()
    winner_id = serializers.IntegerField()
    loser_id = serializers.IntegerField()
    outcome = serializers.CharField(help_text=", ".join(MergeBatchRow.Outcome.values))
    code = serializers.CharField()
    reason = serializers.CharField()
    merge_id = serializers.IntegerField(allow_null=True)


def as_api(batch: MergeBatch) -> dict[str, Any]:
    """Expects ``user`` and ``key`` joined in."""
    actor = batch.user.get_username() if batch.user else batch.key.name if batch.key else None
    plain = ("title", "origin", "state", "size", "counts", "preview", "job_id", "undo_job_id")
    moments = ("created_at", "started_at", "finished_at", "undone_at")
    return {
        "id": batch.pk,
        **{name: getattr(batch, name) for name in plain},
        "actor": actor,
        **{name: iso(getattr(batch, name)) for name in moments},
    }


def _row(row: MergeBatchRow) -> dict[str, Any]:
    names = ("position", "winner_id", "loser_id", "outcome", "code", "reason", "merge_id")
    return {name: getattr(row, name) for name in names}


class MergeBulk(PersonalDataView):
    """Thousands of pairs, each a merge of its own."""

    permissions = {"POST": PERMISSION}

    @extend_schema(
        operation_id="mergeMany",
        tags=["Merging"],
        summary="Merge many pairs",
        request=BulkBody,
        responses={202: api_schema.one_of("StartedBatchOrPreview", StartedBatch, BatchPreview)},
    )
    def post(self, request: Request) -> Response:
        """A job over up to 10,000 pairs, in their order; ids merged away count as their surviving profiles. A pair
        that cannot be merged is skipped with a reason and the rest goes on: see the rows of the batch `batch_id`.
        With `dry_run=true` nothing is merged and `preview` adds up what would happen.
        """
        pairs = _pairs(self.sent)
        title = self.sent.get("title", "")
        batch = make_batch(pairs, title=title, origin=MergeBatch.Origin.API, **self.verb())
        if self.is_dry_run:
            preview = preview_of(batch)
            effects = [{"kind": "profile.merged", "count": preview["merges"]}]
            return Response({"preview": preview, "effects": effects}, status=202)
        batch = start_batch(batch_id=batch.pk, actor=self.actor, unseen=True)
        return _started(batch, batch.job)


def _started(batch: MergeBatch, job: Job | None) -> Response:
    assert job is not None  # noqa: S101
    fresh = Job.objects.select_related("user", "key").get(pk=job.pk)
    return Response({**job_api.as_api(fresh), "batch_id": batch.pk}, status=202)


def _pairs(sent: Any) -> list[BatchPair]:
    """Checked by hand: a serializer per pair would cost more than merging it."""
    pairs = sent.get("pairs") if isinstance(sent, dict) else None
    if not isinstance(pairs, list):
        raise _bad("/pairs", "Send {“pairs”: [{“winner_id”, “loser_id”}]}.")
    if unknown := sent.keys() - {"pairs", "title"}:
        raise _bad(
            f"/{min(unknown)}", f"There is no field “{min(unknown)}” here. Known fields: pairs, title."
        )
    if not isinstance(sent.get("title", ""), str):
        raise _bad("/title", "Send a text.")
    if not pairs:
        raise _bad("/pairs", "Send at least one pair.")
    if len(pairs) > MAX_PAIRS:
        raise _bad("/pairs", f"At most {MAX_PAIRS:,} pairs in one call; these are {len(pairs):,}.")
    for index, pair in enumerate(pairs):
        if not (isinstance(pair, dict) and pair.keys() == {"winner_id", "loser_id"}):
            raise _bad(f"/pairs/{index}", "Send {“winner_id”, “loser_id”}.")
        for name, value in pair.items():
            if read_id(value) is None:
                raise _bad(f"/pairs/{index}/{name}", BAD_ID)
    return [BatchPair(int(pair["winner_id"]), int(pair["loser_id"])) for pair in pairs]


def _bad(pointer: str, message: str) -> Invalid:
    return Invalid([{"pointer": pointer, "message": message}])


class BatchList(PersonalDataView):
    permissions = {"GET": "profiles.view_merge"}

    @extend_schema(
        operation_id="listMergeBatches",
        tags=["Merging"],
        summary="Merges in bulk, newest first",
        parameters=[
            OpenApiParameter("state", str, enum=MergeBatch.State.values),
            OpenApiParameter("origin", str, enum=MergeBatch.Origin.values),
            *api_schema.PAGE,
        ],
        responses={200: api_schema.page_of(MergeBatchSerializer)},
    )
    def get(self, request: Request) -> Response:
        self.known_parameters("state", "origin", "count")
        batches = MergeBatch.objects.select_related(*_JOINED)
        for name, choices in (("state", MergeBatch.State), ("origin", MergeBatch.Origin)):
            if value := choice(request, name, choices.values):
                batches = batches.filter(**{name: value})
        return self.page(batches, rows(as_api))


class BatchDetail(PersonalDataView):
    permissions = {"GET": "profiles.view_merge"}

    @extend_schema(
        operation_id="getMergeBatch",
        tags=["Merging"],
        summary="One batch of merges",
        responses={200: MergeBatchSerializer},
    )
    def get(self, request: Request, batch_id: int) -> Response:
        return Response(as_api(find_batch(batch_id)))


class BatchRows(PersonalDataView):
    permissions = {"GET": "profiles.view_merge"}
    ordering = ("position",)

    @extend_schema(
        operation_id="listMergeBatchRows",
        tags=["Merging"],
        summary="What became of each pair of a batch",
        parameters=[OpenApiParameter("outcome", str, enum=MergeBatchRow.Outcome.values), *api_schema.PAGE],
        responses={200: api_schema.page_of(MergeBatchRowSerializer)},
    )
    def get(self, request: Request, batch_id: int) -> Response:
        """In the order they were sent."""
        self.known_parameters("outcome", "count")
        batch_rows = find_batch(batch_id).rows.all()
        if outcome := choice(request, "outcome", MergeBatchRow.Outcome.values):
            batch_rows = batch_rows.filter(outcome=outcome)
        return self.page(batch_rows, rows(_row))


class BatchUndo(PersonalDataView):
    permissions = {"POST": PERMISSION}

    @extend_schema(
        operation_id="undoMergeBatch",
        tags=["Merging"],
        summary="Undo all merges of a batch",
        request=None,
        responses={202: StartedBatch},
    )
    def post(self, request: Request, batch_id: int) -> Response:
        """A job, the latest merge first. What cannot be undone stays, and its row says why. A batch that is under
        way, or of which nothing is merged, is a 409.
        """
        batch = undo_batch(batch_id=batch_id, actor=self.actor)
        return _started(batch, batch.undo_job)
