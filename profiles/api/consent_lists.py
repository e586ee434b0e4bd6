"""Calls on consent channels and purposes → their rows, changed by the rules of the admin's forms."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers

from cdp.api.request_bodies import StrictSerializer, TextField, TimeField
from cdp.api.viewsets import ApiModelViewSet
from cdp.errors import RuleForbids
from profiles.admin.consent_lists import ChannelForm, PurposeForm, is_word_used, why_it_stays, with_counts
from profiles.api.definitions import AuditedViewSet, refuse_fixed, save_form
from profiles.consent.lists import consent_lists
from profiles.models import ConsentChannel, ConsentPurpose


class ArchivedField(serializers.BooleanField):
    """Written as true or false, read from when it was archived."""

    def get_attribute(self, instance: Any) -> bool:
        return instance.archived_at is not None


class PurposeSerializer(StrictSerializer):
    # Reads ``decisions``, which ``with_counts`` sets.
    id = serializers.IntegerField(read_only=True)
    name = TextField(max_length=60, help_text="As sent by integrations; cannot be changed later.")
    label = TextField(required=False, max_length=80, allow_blank=True)  # type: ignore[assignment]
    synonyms = serializers.ListField(
        child=TextField(max_length=60),
        required=False,
        max_length=100,
        help_text="Other spellings. Case, spaces, hyphens and underscores do not count.",
    )
    archived = ArchivedField(
        required=False, help_text="Nobody can agree to it any more; a no is still taken."
    )
    decisions = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="How many name it; null where counting takes too long."
    )
    archived_at = TimeField(allow_null=True)
    created_at = TimeField()


class ChannelSerializer(PurposeSerializer):
    name = TextField(max_length=30, help_text="As sent by integrations; cannot be changed later.")
    contact = serializers.ChoiceField(
        choices=ConsentChannel.Contact.values,
        required=False,
        help_text="By which of a person's contacts it reaches them; a no counts for that address.",
    )


class WordViewSet(AuditedViewSet, ApiModelViewSet):
    """What both lists share."""

    form: ClassVar[Any]
    model: ClassVar[Any]
    ordering = ("name", "id")

    def get_object(self) -> Any:
        return with_counts([super().get_object()], self.model)[0]

    def paginate_queryset(self, queryset: Any) -> Any:
        return with_counts(super().paginate_queryset(queryset) or [], self.model)

    def perform_create(self, serializer: Any) -> None:
        self._save(serializer, save_form(self.form, serializer.validated_data), "create")

    def perform_update(self, serializer: Any) -> None:
        word, values = serializer.instance, serializer.validated_data
        refuse_fixed(word, values, ("name",), "integrations send it. Change the label instead.")
        if "contact" in values and values["contact"] != getattr(word, "contact", "") and is_word_used(word):
            refuse_fixed(word, values, ("contact",), "people have decided about it.")
        kept = {"archived": word.archived_at is not None}
        self._save(serializer, save_form(self.form, {**kept, **values}, word), "update", sorted(values))

    def _save(self, serializer: Any, form: Any, verb: str, fields: list[str] | None = None) -> None:
        word = form.save()
        consent_lists.forget()
        self.record(verb, word, {"fields": fields} if fields else None)
        word.refresh_from_db()
        serializer.instance = with_counts([word], type(word))[0]

    def perform_destroy(self, instance: Any) -> None:
        if why := why_it_stays(instance):
            raise RuleForbids(why)
        self.record("delete", instance, {"name": instance.name})
        instance.delete()
        consent_lists.forget()


@extend_schema(tags=["Definitions"])
@extend_schema_view(
    list=extend_schema(operation_id="listConsentPurposes", summary="What people can agree to"),
    create=extend_schema(operation_id="createConsentPurpose", summary="Add a purpose of consent"),
    retrieve=extend_schema(operation_id="getConsentPurpose", summary="A purpose of consent"),
    partial_update=extend_schema(
        operation_id="updateConsentPurpose",
        summary="Rename, respell or archive a purpose",
        description="The name is fixed. Archived, nobody can agree to it any more; what was decided stays.",
    ),
    destroy=extend_schema(
        operation_id="deleteConsentPurpose",
        summary="Remove a purpose",
        description="Only one of your own, while nobody has decided about it.",
    ),
)
class PurposeViewSet(WordViewSet):
    model = ConsentPurpose
    queryset = ConsentPurpose.objects.all()
    serializer_class = PurposeSerializer
    form = PurposeForm
    permissions = {
        "GET": "profiles.view_consentpurpose",
        "POST": "profiles.add_consentpurpose",
        "PATCH": "profiles.change_consentpurpose",
        "DELETE": "profiles.delete_consentpurpose",
    }


@extend_schema(tags=["Definitions"])
@extend_schema_view(
    list=extend_schema(
        operation_id="listConsentChannels", summary="Ways to reach people that consents are about"
    ),
    create=extend_schema(operation_id="createConsentChannel", summary="Add a channel of consent"),
    retrieve=extend_schema(operation_id="getConsentChannel", summary="A channel of consent"),
    partial_update=extend_schema(
        operation_id="updateConsentChannel",
        summary="Rename, respell or archive a channel",
        description="The name is fixed; `contact` as soon as somebody has decided about it.",
    ),
    destroy=extend_schema(
        operation_id="deleteConsentChannel",
        summary="Remove a channel",
        description="Only one of your own, while nobody has decided about it.",
    ),
)
class ChannelViewSet(WordViewSet):
    model = ConsentChannel
    queryset = ConsentChannel.objects.all()
    serializer_class = ChannelSerializer
    form = ChannelForm
    permissions = {
        "GET": "profiles.view_consentchannel",
        "POST": "profiles.add_consentchannel",
        "PATCH": "profiles.change_consentchannel",
        "DELETE": "profiles.delete_consentchannel",
    }
