"""The JSON bodies of calls on profiles → checked values."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from cdp.api.request_bodies import IdentifierBody, IdField, RawField, StrictSerializer, TextField
from profiles.identity.field_names import is_customer_id
from profiles.identity.presets import CUSTOMER
from profiles.models import Consent, Profile
from profiles.privacy.delete import DeleteReason

# More of these on one person in one call is a mistake in a loop somewhere.
MAX_LISTED = 100
MAX_RESTORED = 10_000
MAX_EVENT_BYTES = 32 * 1024


class ConsentBody(StrictSerializer):
    """One decision. Without ``at`` it was taken now; ``null`` says that nobody knows when."""

    channel = TextField(max_length=100, help_text="One of `/consent-channels/`.")
    purpose = TextField(max_length=100, help_text="One of `/consent-purposes/`.")
    state = TextField(help_text=f"{' or '.join(Consent.State.values)}.")
    at = serializers.DateTimeField(required=False, allow_null=True)
    wording = TextField(required=False, max_length=200, allow_blank=True)
    reason = TextField(
        required=False,
        max_length=100,
        allow_blank=True,
        help_text=f"Of a yes after a no: {', '.join(Consent.Reason.values)}.",
    )
    proof = serializers.DictField(
        required=False, help_text="Where and how they decided; needed for a yes after a no."
    )


class AddressBody(StrictSerializer):
    """One further postal address; any of its lines."""

    label = TextField(required=False, max_length=50, allow_blank=True)  # type: ignore[assignment]
    street = TextField(required=False, max_length=300, allow_blank=True)
    postcode = TextField(required=False, max_length=20, allow_blank=True)
    city = TextField(required=False, max_length=200, allow_blank=True)
    state = TextField(required=False, max_length=200, allow_blank=True)
    country = TextField(required=False, max_length=100, allow_blank=True)


class AttributesField(serializers.DictField):
    """``{"plan": "pro"}``: registered custom attributes by name; null clears."""


class ChangesBody(StrictSerializer):
    """What PATCH takes. Fields left out stay; null clears. ``tags`` become exactly these, ``identifiers`` are added."""

    first_name = RawField(help_text="Given name.")
    last_name = RawField(help_text="Family name.")
    email = RawField(help_text="Becomes an identifier as well.")
    phone = RawField(help_text="Kept in E.164.")
    street = RawField()
    postcode = RawField()
    city = RawField()
    state = RawField(help_text="State or region.")
    country = RawField(help_text="English name or ISO 3166 code; kept as alpha-2.")
    birth_date = RawField(help_text="YYYY-MM-DD.")
    gender = RawField()
    language = RawField(help_text="For example en or pt-BR.")
    attributes = AttributesField(required=False)
    identifiers = IdentifierBody(many=True, required=False, max_length=MAX_LISTED)  # type: ignore[call-arg]
    tags = serializers.ListField(child=TextField(), required=False, max_length=MAX_LISTED)
    version = serializers.IntegerField(
        required=False, min_value=1, help_text="The version you looked at; a later one is a 409."
    )

    def to_internal_value(self, data: Any) -> Any:
        """The customer's id may stand beside the fields, as other systems write it: `customId`, `custom_identify`."""
        names = [name for name in data if is_customer_id(name)] if isinstance(data, dict) else []
        if not names:
            return super().to_internal_value(data)
        listed = data.get("identifiers") or []
        if not isinstance(listed, list):
            return super().to_internal_value({"identifiers": listed})  # refused
        ids = [{"type": CUSTOMER, "value": data[name]} for name in names if data[name] not in (None, "")]
        rest = {name: value for name, value in data.items() if name not in names}
        return super().to_internal_value({**rest, "identifiers": [*listed, *ids]})


class NewProfileBody(ChangesBody):
    """What POST takes."""

    consents = ConsentBody(many=True, required=False, max_length=MAX_LISTED)  # type: ignore[call-arg]
    addresses = AddressBody(many=True, required=False, max_length=MAX_LISTED)  # type: ignore[call-arg]


def attribute_values(body: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a body as verbs take them: ``{"city": …, "attributes.plan": …}``."""
    plain = {name: body[name] for name in Profile.FIELDS if name in body}
    return plain | {f"attributes.{name}": value for name, value in body.get("attributes", {}).items()}


class EventBody(StrictSerializer):
    """One event. Sending the same ``message_id`` again has no second effect."""

    name = TextField(max_length=255)
    occurred_at = serializers.DateTimeField(required=False)
    properties = serializers.DictField(required=False)
    context = serializers.DictField(required=False)  # type: ignore[assignment]
    message_id = serializers.UUIDField(required=False)


class NoteBody(StrictSerializer):
    text = TextField(help_text="1 to 10,000 characters.", allow_blank=True)


class AttachBody(StrictSerializer):
    verified = serializers.BooleanField(required=False, default=False)


class ConfirmBody(StrictSerializer):
    """The identifier that was confirmed, in any format."""

    type = TextField()
    value = TextField()


class PromoteBody(StrictSerializer):
    """A value of ``alternates`` that becomes the person's own."""

    field = TextField()
    value = RawField(required=True, allow_null=False)
    version = serializers.IntegerField(required=False, min_value=1)


class ReasonBody(StrictSerializer):
    reason = TextField(
        required=False,
        max_length=500,
        allow_blank=True,
        default="",
        help_text=f"One of {', '.join(DeleteReason.values)}. Another text is kept as the note, and the reason is `other`.",
    )
    note = TextField(
        required=False,
        max_length=500,
        allow_blank=True,
        default="",
        help_text="Kept in the person's history; the audit log gets the reason alone.",
    )


class RestoreBody(StrictSerializer):
    """Either ``ids`` or ``job``."""

    ids = serializers.ListField(child=IdField(), required=False, min_length=1, max_length=MAX_RESTORED)
    job = IdField(required=False, help_text="The job that deleted them.")


class MergeBody(StrictSerializer):
    loser_id = IdField()
    choices = serializers.DictField(
        child=serializers.ChoiceField(choices=["winner", "loser"]),
        required=False,
        help_text='Field to side: {"first_name": "loser", "attributes.plan": "winner"}.',
    )
    preview_hash = TextField(
        required=False, help_text="From the dry run; a 409 when either side changed since."
    )


class ResolveItem(StrictSerializer):
    """``{"type", "value"}`` or ``{"id"}``."""

    type = TextField(required=False)
    value = TextField(required=False)
    id = IdField(required=False)


class ResolveBody(StrictSerializer):
    """Up to 5,000 in one call."""

    identifiers = ResolveItem(many=True)
