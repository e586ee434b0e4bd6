"""Calls on attributes and identifier types → their rows, changed by the rules of the admin's forms."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.forms.models import model_to_dict
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers

from cdp import audit
from cdp.api.request_bodies import StrictSerializer, TextField, TimeField
from cdp.api.viewsets import ApiModelViewSet, ApiViewSet
from cdp.errors import Invalid, RuleForbids
from profiles.admin.definitions import AttributeForm, IdentifierTypeForm, has_values, is_used
from profiles.api.base import ProfilesApiView
from profiles.identity.change_rules import recheck_type
from profiles.models import AttributeDefinition, IdentifierType


def save_form(form_class: Any, values: dict[str, Any], instance: models.Model | None = None) -> Any:
    """The values over the instance's own → the form, valid and not saved. Raises Invalid with every problem."""
    form = form_class(instance=instance)
    known = model_to_dict(form.instance, list(form.fields)) if instance else {}
    defaults = (
        {}
        if instance
        else {name: form.get_initial_for_field(form.fields[name], name) for name in form.fields}
    )
    data = {name: value for name, value in {**defaults, **known, **values}.items() if value is not None}
    bound = form_class(data=data, instance=instance)
    if not bound.is_valid():
        raise Invalid(
            [
                {"field": name, "value": values.get(name), "message": str(message)}
                for name, messages in bound.errors.items()
                for message in messages
            ]
        )
    return bound


def refuse_fixed(instance: Any, values: dict[str, Any], fixed: tuple[str, ...], why: str) -> None:
    """RuleForbids when one of the fixed fields would change."""
    for name in fixed:
        if name in values and values[name] != getattr(instance, name):
            raise RuleForbids(f"The {name} of “{instance}” cannot be changed: {why}")


class AuditedViewSet(ProfilesApiView, ApiViewSet):
    """The base of what staff define: writes are in the audit log."""

    ordering: tuple[str, ...] = ("id",)

    def record(self, verb: str, row: Any, detail: dict[str, Any] | None = None) -> None:
        name = row._meta.model_name
        audit.record(f"{name}.{verb}", actor=self.actor, subject=f"{name}:{row.pk}", detail=detail)


# --- Attributes -----------------------------------------------------------------------------------------


class MergeRuleField(serializers.ChoiceField):
    """Answers name the rule that counts, also where nobody chose one."""

    def get_attribute(self, instance: AttributeDefinition) -> str:
        return instance.rule


class AttributeSerializer(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    name = TextField(max_length=60, help_text="As sent by integrations; cannot be changed later.")
    label = TextField(required=False, max_length=80, allow_blank=True)  # type: ignore[assignment]
    type = serializers.ChoiceField(choices=AttributeDefinition.Type.values, required=False)
    description = TextField(required=False, allow_blank=True)
    sensitivity = serializers.ChoiceField(choices=AttributeDefinition.Sensitivity.values, required=False)
    merge_rule = MergeRuleField(
        choices=AttributeDefinition.MergeRule.values,
        required=False,
        allow_blank=True,
        help_text="What two different values become when two profiles are merged: `fill` (the winner's), `newest`,"
        " `sum`, `largest`, `smallest` or `union`. Empty for the usual: lists are united, points and counters added up,"
        " of other values the winner's.",
    )
    choices = serializers.ListField(child=TextField(max_length=200), required=False, max_length=500)
    created_at = TimeField()


@extend_schema(tags=["Definitions"])
@extend_schema_view(
    list=extend_schema(operation_id="listAttributes", summary="Custom attributes"),
    create=extend_schema(operation_id="createAttribute", summary="Register an attribute"),
    retrieve=extend_schema(operation_id="getAttribute", summary="A custom attribute"),
    partial_update=extend_schema(
        operation_id="updateAttribute",
        summary="Change an attribute's definition",
        description="The name is fixed; the type while somebody has a value.",
    ),
    destroy=extend_schema(
        operation_id="deleteAttribute",
        summary="Remove an attribute",
        description="Only while nobody has a value.",
    ),
)
class AttributeViewSet(AuditedViewSet, ApiModelViewSet):
    queryset = AttributeDefinition.objects.all()
    serializer_class = AttributeSerializer
    permissions = {
        "GET": "profiles.view_attributedefinition",
        "POST": "profiles.add_attributedefinition",
        "PATCH": "profiles.change_attributedefinition",
        "DELETE": "profiles.delete_attributedefinition",
    }

    def perform_create(self, serializer: Any) -> None:
        attribute = save_form(AttributeForm, serializer.validated_data).save()
        self.record("create", attribute)
        attribute.refresh_from_db()
        serializer.instance = attribute

    def perform_update(self, serializer: Any) -> None:
        attribute, values = serializer.instance, serializer.validated_data
        refuse_fixed(attribute, values, ("name",), "integrations send it. Change the label instead.")
        if "type" in values and values["type"] != attribute.type and is_used(attribute):
            refuse_fixed(attribute, values, ("type",), "people have values of it.")
        serializer.instance = save_form(AttributeForm, values, attribute).save()
        self.record("update", attribute, {"fields": sorted(values)})

    def perform_destroy(self, instance: AttributeDefinition) -> None:
        if is_used(instance):
            raise RuleForbids(f"People have values of “{instance}”. Clear them first.")
        self.record("delete", instance, {"name": instance.name})
        instance.delete()


# --- Identifier types -----------------------------------------------------------------------------------


class IdentifierTypeSerializer(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    name = TextField(max_length=40)
    label = TextField(required=False, max_length=60, allow_blank=True)  # type: ignore[assignment]
    strength = serializers.ChoiceField(choices=IdentifierType.Strength.values, required=False)
    is_unique = serializers.BooleanField(required=False, help_text="Identifies one profile.")
    is_main = serializers.BooleanField(required=False, help_text="Makes its holder a recognized person.")
    priority = serializers.IntegerField(required=False, min_value=1, max_value=32_767)
    normalizer = serializers.ChoiceField(choices=IdentifierType.Normalizer.values, required=False)
    max_per_profile = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=32_767)
    proves_two_people = serializers.BooleanField(
        required=False, help_text="Two with different values are never suggested as one person."
    )
    blocked_values = serializers.ListField(child=TextField(max_length=255), required=False, max_length=1000)
    blocked_patterns = serializers.ListField(child=TextField(max_length=255), required=False, max_length=100)
    is_builtin = serializers.BooleanField(read_only=True)


class ChangedIdentifierTypeSerializer(IdentifierTypeSerializer):
    job_id = serializers.IntegerField(
        read_only=True,
        required=False,
        allow_null=True,
        help_text="The job that brings values already here in line with a changed rule.",
    )


@extend_schema(tags=["Definitions"])
@extend_schema_view(
    list=extend_schema(operation_id="listIdentifierTypes", summary="Identifier types, strongest first"),
    create=extend_schema(operation_id="createIdentifierType", summary="Add an identifier type"),
    retrieve=extend_schema(operation_id="getIdentifierType", summary="An identifier type"),
    partial_update=extend_schema(
        operation_id="updateIdentifierType",
        summary="Change an identity rule",
        description="The name is fixed; normalizer and strength while a profile has a value. Values already here"
        " are brought in line by a job (`job_id`).",
    ),
    destroy=extend_schema(
        operation_id="deleteIdentifierType",
        summary="Remove an identifier type",
        description="Only one of your own, while no profile has a value.",
    ),
)
class IdentifierTypeViewSet(AuditedViewSet, ApiModelViewSet):
    queryset = IdentifierType.objects.all()
    serializer_class = IdentifierTypeSerializer
    ordering = ("priority", "id")
    permissions = {
        "GET": "profiles.view_identifiertype",
        "POST": "profiles.add_identifiertype",
        "PATCH": "profiles.change_identifiertype",
        "DELETE": "profiles.delete_identifiertype",
    }

    def get_serializer_class(self) -> Any:
        is_change = self.action == "partial_update"
        return ChangedIdentifierTypeSerializer if is_change else IdentifierTypeSerializer

    def perform_create(self, serializer: Any) -> None:
        serializer.instance = save_form(IdentifierTypeForm, serializer.validated_data).save()
        self.record("create", serializer.instance)

    def perform_update(self, serializer: Any) -> None:
        identifier_type, values = serializer.instance, serializer.validated_data
        refuse_fixed(identifier_type, values, ("name",), "integrations send it. Change the label instead.")
        if has_values(identifier_type):
            refuse_fixed(identifier_type, values, ("normalizer", "strength"), "people have values of it.")
        form = save_form(IdentifierTypeForm, values, identifier_type)
        serializer.instance = form.save()
        self.record("update", identifier_type, {"fields": sorted(values)})
        if {"is_unique", "is_main", "strength"} & set(form.changed_data):
            job = recheck_type(type_id=identifier_type.pk, actor=self.actor)
            serializer.instance.job_id = job.pk if job is not None else None

    def perform_destroy(self, instance: IdentifierType) -> None:
        if instance.is_builtin:
            raise RuleForbids(f"“{instance}” ships with the product and stays.")
        if has_values(instance):
            raise RuleForbids(f"People have values of “{instance}”. Remove them first.")
        self.record("delete", instance, {"name": instance.name})
        instance.delete()
