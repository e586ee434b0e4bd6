"""Calls on profiles → the profiles: list, create, read, change, delete, restore; identifiers → profile ids."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.actors import Actor
from cdp.api import jobs as job_api
from cdp.api import schema as api_schema
from cdp.api.problems import BadParameter
from cdp.api.request_bodies import read_id
from cdp.errors import Invalid, NotFound
from cdp.looks import saw
from cdp.models import Job
from profiles.api import examples, parameters, schema
from profiles.api.base import PersonalDataView, below, pointed, reload
from profiles.api.request_bodies import (
    ChangesBody,
    NewProfileBody,
    ReasonBody,
    ResolveBody,
    RestoreBody,
    attribute_values,
)
from profiles.api.upsert import upsert_profile
from profiles.bulk.run_action import INLINE, run_bulk
from profiles.consent.ledger import record_consent
from profiles.editing import add_address, attach_identifier, create_profile, update_profile
from profiles.editing.locking import check_version, lock_root
from profiles.identity.lookup import VIEW_DELETED, clean_pair, resolve
from profiles.identity.types import get_type, identifier_types
from profiles.models import Profile, ProfileTag
from profiles.privacy.delete import delete_profiles
from profiles.privacy.restore import (
    RestoredMany,
    deleted_by_job,
    preview_restore,
    restore_profile,
    restore_profiles,
)
from profiles.search.filters import ProfileFilter
from profiles.tagging import clean_tag_names, tag_profiles, untag_profiles
from profiles.values.attributes import CUSTOM

MAX_RESOLVED = 5_000


class ProfileList(PersonalDataView):
    """People, newest first."""

    permissions = {"GET": "profiles.view_profile", "POST": "profiles.add_profile"}

    def registered_parameters(self) -> list[OpenApiParameter]:
        return parameters.registered_filters()

    @extend_schema(
        operation_id="listProfiles",
        tags=["Profiles"],
        summary="List and search people",
        parameters=[*parameters.PROFILE_FILTERS, *api_schema.PAGE],
        responses={200: api_schema.page_of(schema.Profile)},
    )
    def get(self, request: Request) -> Response:
        """Surviving profiles, newest first. `q` is the search box: any identifier, name or part of one."""
        if request.query_params.get("status") == Profile.Status.DELETED:
            self.require(VIEW_DELETED)
        try:
            filters = ProfileFilter(request.query_params)
            attributes = [name for name in request.query_params if name.startswith(CUSTOM)]
            self.known_parameters(*filters.filters, *attributes, "count")
            self.check_filters(filters)
            roots, counted = filters.page_qs.defer("search"), filters.qs
        except Invalid as error:
            problem = error.problems[0]
            raise BadParameter(problem["field"], problem["message"], problem["value"]) from error
        response = self.page(roots, self.presenter.profiles, counted=counted)
        if filters.search_result is not None:
            self._explain(filters.search_result, response.data["results"])
        return response

    def _explain(self, matches: Any, rows: list[dict[str, Any]]) -> None:
        """“Found as an old e-mail …”, when the reason cannot be seen in the row itself."""
        for row in rows:
            hit = matches.by_root.get(row["id"])
            row["found"] = hit.explain(self.identifier_value) if hit else ""

    @extend_schema(
        operation_id="createProfile",
        tags=["Profiles"],
        summary="Add a person",
        parameters=[parameters.UPSERT],
        request=NewProfileBody,
        responses={201: schema.Profile, 200: schema.Profile},
        examples=examples.CREATE_EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        """An identifier that somebody has already is a 409 that names them; with `upsert=true` that person
        is updated instead. `warnings` lists what was left out, such as a blocked identifier.
        """
        body = self.body(NewProfileBody)
        values = attribute_values(body)
        identifiers = [(item["type"], item["value"]) for item in body.get("identifiers", [])]
        try:
            root_id, is_new, warnings = self._write(body, values, identifiers)
        except Invalid as error:
            raise pointed(error, body.get("identifiers", [])) from error
        for address in body.get("addresses", []):
            add_address(profile_id=root_id, values=address, **self.verb())
        for index, consent in enumerate(body.get("consents", [])):
            try:
                record_consent(profile_id=root_id, **decision(consent), **self.verb())
            except Invalid as error:
                raise below(error, f"consents.{index}") from error
        extra: dict[str, Any] = {"warnings": warnings} if warnings else {}
        answer = self.profile_response(reload(root_id), status=201 if is_new else 200, **extra)
        if is_new:
            answer["Location"] = request.build_absolute_uri(f"/api/v1/profiles/{root_id}/")
        return answer

    def _write(
        self, body: dict[str, Any], values: dict[str, Any], identifiers: list[tuple[str, str]]
    ) -> tuple[int, bool, list[str]]:
        tags = body.get("tags", [])
        if not self.flag("upsert"):
            made = create_profile(values=values, identifiers=identifiers, tags=tags, **self.verb())
            return made.profile.pk, True, made.warnings
        self.require("profiles.change_profile")
        version = self.expected_version(body)
        return upsert_profile(
            values=values, identifiers=identifiers, tags=tags, expected_version=version, **self.verb()
        )


class ProfileDetail(PersonalDataView):
    """One person by any id they have or had, or by `type:value`."""

    permissions = {
        "GET": "profiles.view_profile",
        "PATCH": "profiles.change_profile",
        "DELETE": "profiles.delete_profile",
    }

    @extend_schema(
        operation_id="getProfile",
        tags=["Profiles"],
        summary="Read a person",
        parameters=[parameters.REF, parameters.INCLUDE],
        responses={200: schema.Profile},
    )
    def get(self, request: Request, ref: str) -> Response:
        """An id that was merged away answers with the surviving profile."""
        include = request.query_params.get("include", "")
        if include not in ("", parameters.REACHABLE_WHY):
            raise BadParameter("include", f"include is {parameters.REACHABLE_WHY}.", include)
        root = self.find().root
        return self.profile_response(root, with_reasons=bool(include))

    @extend_schema(
        operation_id="updateProfile",
        tags=["Profiles"],
        summary="Change a person",
        parameters=[parameters.REF, parameters.IF_MATCH],
        request=ChangesBody,
        responses={200: schema.Profile},
        examples=examples.UPDATE_EXAMPLES,
    )
    def patch(self, request: Request, ref: str) -> Response:
        """Fields that are left out stay, `null` clears. `If-Match` (or `version`) refuses to overwrite a change
        you have not seen.
        """
        target = self.find()
        body = self.body(ChangesBody)
        identifiers = body.get("identifiers", [])
        try:
            updated = update_profile(
                profile_id=target.root.pk,
                via_id=target.via_id if target.via_id != target.root.pk else None,
                values=attribute_values(body),
                expected_version=self.expected_version(body),
                **self.verb(),
            )
            for item in identifiers:
                attach_identifier(
                    profile_id=updated.profile.pk, type_name=item["type"], raw=item["value"], **self.verb()
                )
        except Invalid as error:
            raise pointed(error, identifiers) from error
        if "tags" in body:
            set_tags(updated.profile.pk, body["tags"], **self.verb())
        return self.profile_response(reload(updated.profile.pk))

    @extend_schema(
        operation_id="deleteProfile",
        tags=["Profiles"],
        summary="Delete a person",
        parameters=[parameters.REF, parameters.IF_MATCH],
        responses={204: None},
    )
    def delete(self, request: Request, ref: str) -> Response:
        """Out of every list and look-up, with everybody merged into them; `restore/` brings them back."""
        root = self.find().root
        check_version(lock_root(root.pk), self.expected_version())
        delete_profiles(profile_ids=[root.pk], **self.body(ReasonBody), **self.verb())
        return Response(status=204)


class Restore(PersonalDataView):
    """Bringing a deleted person back."""

    permissions = {"POST": "profiles.restore_profile"}

    @extend_schema(
        operation_id="restoreProfile",
        tags=["Profiles"],
        summary="Restore a deleted person",
        parameters=[parameters.REF],
        request=None,
        responses={200: schema.RestoredProfile},
    )
    def post(self, request: Request, ref: str) -> Response:
        """By id: the identifiers of a deleted person resolve to nobody. `taken` lists those that identify somebody else
        by now and stay as contact values.
        """
        done = restore_profile(profile_id=self.find(live_only=False).via_id, **self.verb())
        taken = [
            {
                "type": item.type,
                "value": self.identifier_value(item.type, item.value),
                "profile_id": item.profile_id,
            }
            for item in done.taken
        ]
        return self.profile_response(reload(done.profile.pk), taken=taken)


class RestoreMany(PersonalDataView):
    """Bringing many deleted people back."""

    permissions = {"POST": ("profiles.restore_profile", "profiles.bulk_restore")}

    @extend_schema(
        operation_id="restoreProfiles",
        tags=["Profiles"],
        summary="Restore many deleted people",
        request=RestoreBody,
        responses={200: schema.RestoredMany, 202: job_api.JobSerializer},
        examples=examples.RESTORE_EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        """People by `ids` (up to 10,000), or everybody whom the `job` deleted and who is deleted still: this undoes a
        deletion of many. Up to 100 are back with the answer, more are a job. `skipped` says who was not restored and
        why, `taken` which identifiers identify somebody else by now and stay there. With `dry_run=true` nobody is
        restored, and the answer says what would be, for any number.
        """
        body = self.body(RestoreBody)
        if ("ids" in body) == ("job" in body):
            raise _bad("", "Name people by “ids”, or the “job” that deleted them.")
        ids = body["ids"] if "ids" in body else self._deleted_by(body["job"])
        if len(ids) <= INLINE:
            return Response(self._as_api(restore_profiles(profile_ids=ids, **self.verb())))
        if self.is_dry_run:
            return Response(self._as_api(preview_restore(ids)))
        started = run_bulk(action="restore", profile_ids=ids, **self.verb()).job
        job = Job.objects.select_related("user", "key").get(pk=started.pk if started else 0)
        return Response(job_api.as_api(job), status=202)

    def _deleted_by(self, job_id: int) -> list[int]:
        if ids := deleted_by_job(job_id):
            return ids
        raise NotFound(f"Nobody whom job #{job_id} deleted is still deleted.")

    def _as_api(self, done: RestoredMany) -> dict[str, Any]:
        return {
            "restored": done.profile_ids,
            "skipped": [{"id": pk, "message": reason} for pk, reason in done.skipped.items()],
            "taken": [
                {
                    "restored_id": root_id,
                    "type": item.type,
                    "value": self.identifier_value(item.type, item.value),
                    "profile_id": item.profile_id,
                }
                for root_id, items in done.taken.items()
                for item in items
            ],
        }


class Resolve(PersonalDataView):
    """Identifiers to profiles, thousands at a time."""

    permissions = {"POST": "profiles.view_profile"}
    reads = frozenset({"POST"})

    @extend_schema(
        operation_id="resolveIdentifiers",
        tags=["Profiles"],
        summary="Resolve identifiers to profiles",
        request=ResolveBody,
        responses={200: schema.Resolved},
        examples=examples.RESOLVE_EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        """One result per identifier, in their order; `id` is null for nobody. `via` is the merged-away profile
        that the identifier belongs to, if any. At most 5,000 in one call, in a constant number of queries.
        """
        asked = self._asked()
        types = identifier_types()
        pairs = [self._pair(index, item, types) for index, item in enumerate(asked)]
        hits = resolve(pair for pair in pairs if pair)
        by_id = _roots([int(item["id"]) for item in asked if "id" in item])
        results = []
        for item, pair in zip(asked, pairs, strict=True):
            member, root = by_id.get(int(item.get("id", 0)), (0, None))
            if pair is not None and (hit := hits.get(pair)):
                member, root = hit.member_id, hit.root_id
            saw([root])
            results.append({"id": root, "via": [member] if root is not None and member != root else []})
        return Response({"results": results})

    def _asked(self) -> list[dict[str, Any]]:
        """Checked by hand: a serializer per item would cost more than all the queries."""
        data = self.sent
        asked = data.get("identifiers") if isinstance(data, dict) else None
        if not isinstance(asked, list):
            raise _bad("/identifiers", "Send {“identifiers”: [{“type”, “value”} or {“id”}]}.")
        if len(asked) > MAX_RESOLVED:
            message = f"At most {MAX_RESOLVED:,} identifiers in one call; these are {len(asked):,}."
            raise _bad("/identifiers", message)
        for index, item in enumerate(asked):
            if not _is_askable(item):
                raise _bad(f"/identifiers/{index}", "Send {“type”, “value”} or {“id”}.")
        return asked

    def _pair(self, index: int, item: dict[str, Any], types: dict[str, Any]) -> tuple[str, str] | None:
        if "id" in item:
            return None
        try:
            spec = types.get(item["type"]) or get_type(types, item["type"])
        except Invalid as error:
            raise _bad(f"/identifiers/{index}/type", error.message) from error
        return clean_pair(spec, str(item["value"]))


def _bad(pointer: str, message: str) -> Invalid:
    return Invalid([{"pointer": pointer, "message": message}])


def _is_askable(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    if item.keys() == {"id"}:
        return read_id(item["id"]) is not None
    return (
        item.keys() == {"type", "value"}
        and isinstance(item["type"], str)
        and type(item["value"]) in (str, int)
    )


def _roots(ids: list[int]) -> dict[int, tuple[int, int]]:
    """``{id: (id, live root)}`` of the ids that are or were somebody. One query."""
    if not ids:
        return {}
    rows = Profile.objects.filter(pk__in=ids, canonical__status=Profile.Status.LIVE)
    return {pk: (pk, root) for pk, root in rows.values_list("pk", "canonical_id")}


def decision(consent: dict[str, Any]) -> dict[str, Any]:
    """A consent of a body as the ledger takes it: without ``at``, it was decided now."""
    return {"proof": {}, "wording": "", "reason": "", **consent, "at": consent.get("at", timezone.now())}


def set_tags(root_id: int, names: list[str], *, actor: Actor, source: Any) -> None:
    """Exactly these tags: missing ones are put on, others taken off."""
    wanted = {name.lower() for name in clean_tag_names(names)}
    present = ProfileTag.objects.filter(profile__canonical_id=root_id).values_list("tag__name", flat=True)
    removed = [name for name in set(present) if name.lower() not in wanted]
    if removed:
        untag_profiles(profile_ids=[root_id], tag_names=removed, actor=actor, source=source)
    if names:
        tag_profiles(profile_ids=[root_id], tag_names=names, actor=actor, source=source)
