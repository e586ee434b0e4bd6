"""Calls on what belongs to one profile → its timeline, events, carts, notes, tags, consents, addresses, lock."""

from __future__ import annotations

from typing import Any

import orjson
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cdp.api import schema as api_schema
from cdp.api.pagination import link, page_size, read_cursor, write_cursor
from cdp.api.views import rows
from cdp.errors import Invalid
from profiles.api import examples, parameters, schema
from profiles.api.base import PersonalDataView, reload
from profiles.api.profiles import decision
from profiles.api.request_bodies import (
    MAX_EVENT_BYTES,
    AddressBody,
    ConsentBody,
    EventBody,
    NoteBody,
    PromoteBody,
)
from profiles.consent.ledger import current_consents, record_consent
from profiles.consent.reachable import reachability
from profiles.editing import (
    add_address,
    add_event,
    add_note,
    promote_alternate,
    remove_address,
    set_lock,
)
from profiles.models import Consent, Event, Note
from profiles.reading.carts import cart_views, carts_of
from profiles.reading.profiles import consents_as_api
from profiles.reading.timeline import EVENT, timeline
from profiles.tagging import tag_profiles, untag_profiles

# The timeline's own cursor travels inside our signed one.
_CURSOR = ("timeline",)
_RECORDED = ("source", "user", "key")


class Timeline(PersonalDataView):
    """Everything that happened to one person."""

    permissions = {"GET": "profiles.view_profile"}

    @extend_schema(
        operation_id="getTimeline",
        tags=["Profiles"],
        summary="Events and journal of a person",
        parameters=[parameters.REF, *parameters.TIMELINE_FILTERS, *api_schema.PAGE[:2]],
        responses={200: api_schema.page_of(schema.TimelineItem)},
    )
    def get(self, request: Request, ref: str) -> Response:
        """Newest first, over the person and everybody merged into them. `previous` is always null: a timeline
        is read from now backwards.
        """
        self.known_parameters("kind", "name", "source")
        return self.history(kind=request.query_params.get("kind", ""), to_row=self.presenter.item)

    def history(self, *, kind: str, to_row: Any) -> Response:
        params = self.request.query_params
        root = self.find().root
        cursor = params.get("cursor")
        page = timeline(
            root.pk,
            kind=kind,
            name=params.get("name", ""),
            source=params.get("source", ""),
            older_than=str(read_cursor(cursor, _CURSOR)[0][0]) if cursor else "",
            limit=page_size(self.request),
        )
        older = write_cursor(_CURSOR, [page.older], is_back=False) if page.older else None
        return Response(
            {
                "next": link(self.request, older) if older else None,
                "previous": None,
                "results": [to_row(item) for item in page.items],
            }
        )


class Events(Timeline):
    """The events of one person."""

    permissions = {"GET": "profiles.view_profile", "POST": "profiles.add_event"}

    @extend_schema(
        operation_id="listEvents",
        tags=["Profiles"],
        summary="Events of a person",
        parameters=[parameters.REF, *parameters.TIMELINE_FILTERS[1:], *api_schema.PAGE[:2]],
        responses={200: api_schema.page_of(schema.Event)},
    )
    def get(self, request: Request, ref: str) -> Response:
        """Newest first; `previous` is always null."""
        self.known_parameters("name", "source")
        return self.history(kind=EVENT, to_row=lambda item: self.presenter.event(item.row))

    @extend_schema(
        operation_id="addEvent",
        tags=["Profiles"],
        summary="Add an event",
        parameters=[parameters.REF],
        request=EventBody,
        responses={201: schema.Event},
        examples=examples.EVENT_EXAMPLES,
    )
    def post(self, request: Request, ref: str) -> Response:
        """`occurred_at` is now when left out. A `message_id` sent before returns the event it made then."""
        body = self.body(EventBody)
        for field in ("properties", "context"):
            size = len(orjson.dumps(body.get(field, {})))
            if size > MAX_EVENT_BYTES:
                message = f"At most {MAX_EVENT_BYTES:,} bytes of {field}; these are {size:,}."
                raise Invalid([{"field": field, "value": None, "message": message}])
        target = self.find()
        made = add_event(profile_id=target.root.pk, via_id=target.via_id, **body, **self.verb())
        event = Event.objects.select_related("name", "source").get(pk=made.pk)
        return Response(self.presenter.event(event), status=201)


class Carts(PersonalDataView):
    """The shopping carts of one person."""

    permissions = {"GET": "profiles.view_cart"}
    ordering = ("-last_event_at", "-id")

    @extend_schema(
        operation_id="listCarts",
        tags=["Profiles"],
        summary="Carts of a person",
        parameters=[parameters.REF, *api_schema.PAGE],
        responses={200: api_schema.page_of(schema.Cart)},
    )
    def get(self, request: Request, ref: str) -> Response:
        """What events with a `cart_id` told, the latest cart first. The newest one supersedes older ones; a cart whose
        *Order Completed* came is ordered.
        """
        self.known_parameters("count")
        root = self.find().root
        return self.page(
            carts_of(root.pk), lambda carts: [self.presenter.cart(view) for view in cart_views(carts)]
        )


class Notes(PersonalDataView):
    """Remarks about one person."""

    permissions = {"GET": "profiles.view_note", "POST": "profiles.add_note"}
    ordering = ("-created_at", "-id")

    @extend_schema(
        operation_id="listNotes",
        tags=["Profiles"],
        summary="Notes on a person",
        parameters=[parameters.REF, *api_schema.PAGE],
        responses={200: api_schema.page_of(schema.Note)},
    )
    def get(self, request: Request, ref: str) -> Response:
        self.known_parameters("count")
        root = self.find().root
        notes = Note.objects.filter(profile__canonical_id=root.pk).select_related("user", "key")
        return self.page(notes, rows(self.presenter.note))

    @extend_schema(
        operation_id="addNote",
        tags=["Profiles"],
        summary="Write a note",
        parameters=[parameters.REF],
        request=NoteBody,
        responses={201: schema.Note},
    )
    def post(self, request: Request, ref: str) -> Response:
        body = self.body(NoteBody)
        target = self.find()
        made = add_note(profile_id=target.root.pk, via_id=target.via_id, text=body["text"], **self.verb())
        note = Note.objects.select_related("user", "key").get(pk=made.pk)
        return Response(self.presenter.note(note), status=201)


class Tag(PersonalDataView):
    """One tag on one person."""

    permissions = {"PUT": "profiles.add_profiletag", "DELETE": "profiles.delete_profiletag"}

    @extend_schema(
        operation_id="tagProfile",
        tags=["Profiles"],
        summary="Add a tag",
        parameters=[parameters.REF, parameters.TAG],
        request=None,
        responses={200: schema.Tagged},
    )
    def put(self, request: Request, ref: str, tag: str) -> Response:
        """An unknown tag is made. Doing it twice changes nothing."""
        root = self.find().root
        done = tag_profiles(profile_ids=[root.pk], tag_names=[tag], **self.verb())
        tags = self.presenter.profile(root)["tags"]
        return Response({"id": root.pk, "tags": tags, "changed": bool(done.changed)})

    @extend_schema(
        operation_id="untagProfile",
        tags=["Profiles"],
        summary="Remove a tag",
        parameters=[parameters.REF, parameters.TAG],
        responses={204: None},
    )
    def delete(self, request: Request, ref: str, tag: str) -> Response:
        """A tag the person does not carry is taken off just as well."""
        untag_profiles(profile_ids=[self.find().root.pk], tag_names=[tag], **self.verb())
        return Response(status=204)


class Consents(PersonalDataView):
    """The consent ledger of one person."""

    permissions = {"GET": "profiles.view_consent", "POST": "profiles.add_consent"}

    @extend_schema(
        operation_id="listConsents",
        tags=["Profiles"],
        summary="Consent ledger of a person",
        parameters=[parameters.REF, *api_schema.PAGE],
        responses={200: schema.ConsentPage},
    )
    def get(self, request: Request, ref: str) -> Response:
        """Every decision ever recorded, newest first; `current` is what counts now, per channel and purpose."""
        self.known_parameters("count")
        root = self.find().root
        ledger = Consent.objects.filter(profile__canonical_id=root.pk).select_related(*_RECORDED)
        answer = self.page(ledger, rows(self.presenter.consent))
        answer.data["current"] = consents_as_api(reachability([root], current_consents([root.pk]))[root.pk])
        return answer

    @extend_schema(
        operation_id="recordConsent",
        tags=["Profiles"],
        summary="Record a consent decision",
        parameters=[parameters.REF],
        request=ConsentBody,
        responses={201: schema.RecordedConsent},
        examples=examples.CONSENT_EXAMPLES,
    )
    def post(self, request: Request, ref: str) -> Response:
        """`at` is when the person decided: now when left out, `null` when nobody knows (which is never a yes).
        Channel and purpose are those of `/consent-channels/` and `/consent-purposes/`, in any spelling they have.

        A yes of somebody who had said no needs `reason` and `proof`, and the scope privacy beside profiles:write.
        """
        target = self.find()
        via_id = target.via_id if target.via_id != target.root.pk else None
        body = decision(self.body(ConsentBody))
        done = record_consent(profile_id=target.root.pk, via_id=via_id, **body, **self.verb())
        row = Consent.objects.select_related(*_RECORDED).get(pk=done.consent.pk)
        key = (row.channel, row.purpose)
        reach = reachability([target.root], {target.root.pk: {key: done.current}})[target.root.pk]
        answer = {**self.presenter.consent(row), "current": consents_as_api(reach)[0]}
        return Response(answer, status=201)


class Addresses(PersonalDataView):
    """Further postal addresses of one person."""

    permissions = {"POST": "profiles.add_address"}

    @extend_schema(
        operation_id="addAddress",
        tags=["Profiles"],
        summary="Add a postal address",
        parameters=[parameters.REF],
        request=AddressBody,
        responses={201: schema.Profile},
    )
    def post(self, request: Request, ref: str) -> Response:
        """Answers with the whole profile; its `addresses` contain the new one."""
        target = self.find()
        root = target.root
        add_address(profile_id=root.pk, via_id=target.via_id, values=self.body(AddressBody), **self.verb())
        return self.profile_response(reload(root.pk), status=201)


class AddressDetail(PersonalDataView):
    permissions = {"DELETE": "profiles.delete_address"}

    @extend_schema(
        operation_id="removeAddress",
        tags=["Profiles"],
        summary="Remove a postal address",
        parameters=[parameters.REF],
        responses={204: None},
    )
    def delete(self, request: Request, ref: str, address_id: int) -> Response:
        remove_address(profile_id=self.find().root.pk, address_id=address_id, **self.verb())
        return Response(status=204)


class Promote(PersonalDataView):
    """Values that lost in a merge."""

    permissions = {"POST": "profiles.change_profile"}

    @extend_schema(
        operation_id="promoteAlternate",
        tags=["Merging"],
        summary="Make an alternate the person's value",
        parameters=[parameters.REF, parameters.IF_MATCH],
        request=PromoteBody,
        responses={200: schema.Profile},
    )
    def post(self, request: Request, ref: str) -> Response:
        """The present value becomes the alternate."""
        body = self.body(PromoteBody)
        done = promote_alternate(
            profile_id=self.find().root.pk,
            field=body["field"],
            value=body["value"],
            expected_version=self.expected_version(body),
            **self.verb(),
        )
        return self.profile_response(reload(done.profile.pk))


class Lock(PersonalDataView):
    """“Do not merge”."""

    permissions = {"POST": "profiles.change_profile"}
    is_locked = True

    @extend_schema(
        operation_id="lockProfile",
        tags=["Merging"],
        summary="Lock a person against merging",
        parameters=[parameters.REF],
        request=None,
        responses={200: schema.Profile},
    )
    def post(self, request: Request, ref: str) -> Response:
        """Respected by every channel until unlocked."""
        root = set_lock(profile_id=self.find().root.pk, is_locked=self.is_locked, **self.verb())
        return self.profile_response(reload(root.pk))


class Unlock(Lock):
    is_locked = False

    @extend_schema(
        operation_id="unlockProfile",
        tags=["Merging"],
        summary="Allow merging again",
        parameters=[parameters.REF],
        request=None,
        responses={200: schema.Profile},
    )
    def post(self, request: Request, ref: str) -> Response:
        return super().post(request, ref)
