"""Profiles and what belongs to them → the JSON of the API, masked for callers without *view PII*."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cdp.actors import Actor
from cdp.looks import saw
from cdp.times import iso
from profiles import masking
from profiles.merging.preview import FieldRow, Preview, UnmergePreview
from profiles.models import Change, Consent, Event, Identifier, Merge, Note, Profile
from profiles.reading.carts import CartView
from profiles.reading.profiles import (
    ProfileView,
    as_api,
    identifier_as_api,
    profile_views,
    reasons_as_api,
)
from profiles.reading.timeline import TimelineItem
from profiles.values.attributes import AttributeSpec, attribute_specs

# What a merge preview says of segments as long as no app has any.
NO_SEGMENTS: dict[str, list[str]] = {"entered": [], "left": []}


class Presenter:
    """Rows → what one caller may see of them; asks for permissions and attribute definitions once per answer."""

    def __init__(self, actor: Actor) -> None:
        self.can_view_pii = actor.can("profiles.view_pii")
        self.specs: dict[str, AttributeSpec] = {} if self.can_view_pii else attribute_specs()

    def profiles(self, roots: Sequence[Profile]) -> list[dict[str, Any]]:
        """Profiles of a page of roots; the same few queries for one and for five hundred."""
        return [self.view(view) for view in profile_views(roots)]

    def profile(self, root: Profile, *, with_reasons: bool = False) -> dict[str, Any]:
        view = profile_views([root])[0]
        reasons = {"reachable_why": reasons_as_api(view.reach)} if with_reasons else {}
        return {**self.view(view), **reasons}

    def view(self, view: ProfileView) -> dict[str, Any]:
        return as_api(masking.displayed_view(view, can_view_pii=self.can_view_pii, specs=self.specs))

    def value(self, field: str, value: Any) -> Any:
        return value if self.can_view_pii else masking.mask(field, value, self.specs)

    def text(self, text: str) -> str:
        return text if self.can_view_pii else masking.mask_text(text, numbers=False)

    def identifier(self, row: Identifier) -> dict[str, Any]:
        data = identifier_as_api(row)
        if not self.can_view_pii:
            data["value"] = masking.mask_identifier(row.type.name, row.value)
        return data

    def event(self, event: Event) -> dict[str, Any]:
        properties, context, name = event.properties, event.context, event.page_name
        envelope = event.envelope or {}
        ids = {key: envelope.get(key) for key in ("group_id", "previous_id")}
        if not self.can_view_pii:
            properties, context = masking.mask_event(event.kind, properties), masking.mask_json(context)
            name, ids = masking.mask_text(name), _masked_ids(ids)
        return {
            "id": event.pk,
            "name": name or event.name.name,
            "kind": event.kind,
            "category": event.category or None,
            "channel": envelope.get("channel"),
            **ids,
            "profile_id": event.profile_id,
            "occurred_at": iso(event.occurred_at),
            "received_at": iso(event.received_at),
            "message_id": str(event.message_id),
            "source": event.source.name,
            "properties": properties,
            "context": context,
        }

    def stored_event(self, event: Any) -> dict[str, Any]:
        """An event with what was sent around it; ``person_id`` (by_canonical) is joined in."""
        saw([event.person_id])
        envelope = event.envelope or {}
        ids = {name: envelope.get(name) for name in ("user_id", "anonymous_id")}
        if not self.can_view_pii:
            ids = _masked_ids(ids)
        return {
            **self.event(event),
            **ids,
            "message_id": self.text(str(envelope.get("message_id") or event.message_id)),
            "profile_id": event.person_id,
            "marks": envelope.get("marks") or [],
        }

    def change(self, change: Change) -> dict[str, Any]:
        fields = change.fields if self.can_view_pii else masking.mask_fields(change.fields, self.specs)
        return {
            "id": change.pk,
            "change": change.kind,
            "profile_id": change.profile_id,
            "via_id": change.via_id,
            "at": iso(change.at),
            "fields": fields,
            "actor": who(change),
            "source": change.source.name,
            "cause": change.cause,
            "cause_id": change.cause_id,
            "line": change.line,
        }

    def cart(self, view: CartView) -> dict[str, Any]:
        cart, newer = view.row, view.row.superseded_by
        return {
            "id": cart.pk,
            "profile_id": cart.profile_id,
            "cart_id": cart.cart_id,
            "state": cart.state,
            "started_at": iso(cart.started_at),
            "last_event_at": iso(cart.last_event_at),
            "last_event": view.last_event or None,
            "events": view.events,
            "superseded_by": newer.cart_id if newer else None,
            "source": cart.source.name,
        }

    def note(self, note: Note) -> dict[str, Any]:
        return {
            "id": note.pk,
            "profile_id": note.profile_id,
            "text": note.text if self.can_view_pii else masking.mask_note(note.text),
            "actor": who(note),
            "created_at": iso(note.created_at),
        }

    def consent(self, row: Consent) -> dict[str, Any]:
        """One row of the ledger; expects source, user and key joined in. What proves it may name the person: form, address."""
        return {
            "id": row.pk,
            "channel": row.channel,
            "purpose": row.purpose,
            "state": row.state,
            "at": iso(row.at),
            "wording": row.wording,
            "reason": row.reason,
            "proof": row.proof if self.can_view_pii else masking.mask_proof(row.proof),
            "source": row.source.name,
            "recorded_by": who(row),
            "recorded_at": iso(row.recorded_at),
        }

    def item(self, item: TimelineItem) -> dict[str, Any]:
        """One entry of the timeline: the row's own fields under its kind's common head."""
        head = {"kind": item.kind, "id": item.id, "at": iso(item.at), "profile_id": item.profile_id}
        if item.kind == "event":
            return {**self.event(item.row), "event_kind": item.row.kind, **head}
        if item.kind == "change":
            return {**self.change(item.row), **head}
        if item.kind == "note":
            return {**self.note(item.row), **head}
        message = item.row
        subject = message.subject if self.can_view_pii else masking.mask_note(message.subject)
        return {**head, "channel": message.channel, "purpose": message.purpose, "subject": subject}

    # --- merging -------------------------------------------------------------------------------------

    def preview(self, preview: Preview) -> dict[str, Any]:
        """Raises ValueError for a section that is named like another part: it would take its place."""
        answer = {
            "preview_hash": preview.preview_hash,
            "winner_id": preview.winner_id,
            "loser_id": preview.loser_id,
            "fields": [self._field(row) for row in preview.fields],
            "moved": preview.moved,
            "webhooks": preview.webhooks,
            "warnings": preview.warnings,
            "result": self.view(preview.result),
        }
        if taken := sorted(answer.keys() & preview.sections.keys()):
            raise ValueError(f"The merge preview and a section of it both give “{taken[0]}”.")
        return {**answer, "segments": NO_SEGMENTS, **preview.sections}

    def unmerge_preview(self, preview: UnmergePreview) -> dict[str, Any]:
        fields = [
            {
                "field": row.field,
                "now": self.value(row.field, row.now),
                "winner": self.value(row.field, row.winner),
                "loser": self.value(row.field, row.loser),
            }
            for row in preview.fields
        ]
        return {
            "merge_id": preview.merge_id,
            "winner": self.view(preview.winner),
            "loser": self.view(preview.loser),
            "kept": preview.kept,
            "fields": fields,
            "moved": preview.moved,
            "webhooks": preview.webhooks,
        }

    def _field(self, row: FieldRow) -> dict[str, Any]:
        sides = {"winner": row.winner, "loser": row.loser, "result": row.result}
        values = {side: self._side(row.field, value) for side, value in sides.items()}
        return {
            "field": row.field,
            "label": row.label,
            **values,
            "rule": row.rule,
            "merge_rule": row.merge_rule,
            "choosable": row.choosable,
        }

    def _side(self, field: str, value: Any) -> Any:
        name = field.removeprefix("identifiers.")
        if self.can_view_pii or name == field:
            return self.value(field, value)
        return [masking.mask_identifier(name, item) for item in value or []]


def _masked_ids(ids: dict[str, Any]) -> dict[str, Any]:
    return {name: value and masking.mask_identifier(name, str(value)) for name, value in ids.items()}


def who(row: Any) -> str | None:
    """The name of whoever did it: a login or a key; None for the system."""
    if row.user is not None:
        return str(row.user.get_username())
    return row.key.name if row.key is not None else None


def merge(row: Merge) -> dict[str, Any]:
    """One merge as history; expects winner, loser, users, keys and source joined in."""
    undone_by = row.undone_by.get_username() if row.undone_by else None
    return {
        "id": row.pk,
        "merge_id": row.pk,
        "winner_id": row.winner_id,
        "loser_id": row.loser_id,
        "survivor_id": row.loser.canonical_id,
        "choices": row.choices,
        "rules": row.rules,
        "moved": row.moved,
        "actor": who(row),
        "source": row.source.name,
        "cause": row.cause,
        "cause_id": row.cause_id,
        "created_at": iso(row.created_at),
        "undone_at": iso(row.undone_at),
        "undone_by": undone_by or (row.undone_by_key.name if row.undone_by_key else None),
    }
