"""What staff define, managed from outside: tags, attributes, identifier types, sources.

The admin's own forms check the values, so a rule holds at both doors and is said in the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import models
from django.forms.models import model_to_dict
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cdp import audit
from cdp.api import schema as api_schema
from cdp.api.request_bodies import Shape, TextField
from cdp.errors import Invalid, NotFound, RuleForbids
from cdp.times import iso
from profiles.admin.definitions import AttributeForm, IdentifierTypeForm, has_values, is_used
from profiles.api.base import ProfilesApiView
from profiles.identity.change_rules import recheck_type
from profiles.models import AttributeDefinition, IdentifierType


def save_form(form_class: Any, values: dict[str, Any], instance: models.Model | None = None) -> Any:
    """What the form makes of the values (over the instance's own); not saved. Invalid with every problem."""
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


class DefinitionApi(ProfilesApiView):
    """The base of a manager: ``model`` rows, shown by ``show``."""

    model: type[Any]
    ordering: tuple[str, ...] = ("id",)

    def row(self) -> Any:
        found = self.model.objects.filter(pk=self.kwargs["pk"]).first()
        if found is None:
            raise NotFound(f"There is no {self.model._meta.verbose_name} #{self.kwargs['pk']}.")
        return found

    def listed(self, show: Callable[[Any], dict[str, Any]]) -> Response:
        return self.page(self.model.objects.all(), lambda rows: [show(row) for row in rows])

    def told(self, verb: str, row: Any, detail: dict[str, Any] | None = None) -> None:
        name = self.model._meta.model_name
        audit.record(f"{name}.{verb}", actor=self.actor, subject=f"{name}:{row.pk}", detail=detail)


# --- Attributes -----------------------------------------------------------------------------------------


class AttributeShape(Shape):
    name = TextField(max_length=60, help_text="As sent by integrations; fixed once made.")
    label = TextField(required=False, max_length=80, allow_blank=True)  # type: ignore[assignment]
    type = serializers.ChoiceField(choices=AttributeDefinition.Type.values, required=False)
    description = TextField(required=False, allow_blank=True)
    sensitivity = serializers.ChoiceField(choices=AttributeDefinition.Sensitivity.values, required=False)
    choices = serializers.ListField(child=TextField(max_length=200), required=False, max_length=500)


class AttributeChanges(AttributeShape):
    name = TextField(max_length=60, required=False)


class AttributeRow(AttributeShape):
    id = serializers.IntegerField()
    created_at = serializers.DateTimeField()


def _attribute(row: AttributeDefinition) -> dict[str, Any]:
    names = ("id", "name", "label", "type", "description", "sensitivity", "choices")
    return {**{name: getattr(row, name) for name in names}, "created_at": iso(row.created_at)}


class AttributeList(DefinitionApi):
    model = AttributeDefinition
    permissions = {"GET": "profiles.view_attributedefinition", "POST": "profiles.add_attributedefinition"}

    @extend_schema(
        operation_id="listAttributes",
        tags=["Definitions"],
        summary="Custom attributes",
        parameters=api_schema.PAGE,
        responses={200: api_schema.page_of(AttributeRow), **api_schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        return self.listed(_attribute)

    @extend_schema(
        operation_id="createAttribute",
        tags=["Definitions"],
        summary="Register an attribute",
        parameters=api_schema.WRITE,
        request=AttributeShape,
        responses={201: AttributeRow, **api_schema.WRITE_ERRORS},
    )
    def post(self, request: Request) -> Response:
        made = save_form(AttributeForm, self.body(AttributeShape)).save()
        self.told("create", made)
        made.refresh_from_db()
        return Response(_attribute(made), status=201)


class AttributeDetail(DefinitionApi):
    model = AttributeDefinition
    permissions = {
        "GET": "profiles.view_attributedefinition",
        "PATCH": "profiles.change_attributedefinition",
        "DELETE": "profiles.delete_attributedefinition",
    }

    @extend_schema(
        operation_id="getAttribute",
        tags=["Definitions"],
        summary="A custom attribute",
        responses={200: AttributeRow, **api_schema.ERRORS},
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(_attribute(self.row()))

    @extend_schema(
        operation_id="updateAttribute",
        tags=["Definitions"],
        summary="Change an attribute's definition",
        parameters=api_schema.WRITE,
        request=AttributeChanges,
        responses={200: AttributeRow, **api_schema.WRITE_ERRORS},
    )
    def patch(self, request: Request, pk: int) -> Response:
        """The name is fixed; the type while somebody has a value."""
        row, body = self.row(), self.body(AttributeChanges)
        refuse_fixed(row, body, ("name",), "integrations send it. Change the label instead.")
        if "type" in body and body["type"] != row.type and is_used(row):
            refuse_fixed(row, body, ("type",), "people have values of it.")
        changed = save_form(AttributeForm, body, row).save()
        self.told("update", changed, {"fields": sorted(body)})
        return Response(_attribute(changed))

    @extend_schema(
        operation_id="deleteAttribute",
        tags=["Definitions"],
        summary="Remove an attribute",
        parameters=api_schema.WRITE,
        responses={204: None, **api_schema.WRITE_ERRORS},
    )
    def delete(self, request: Request, pk: int) -> Response:
        """Only while nobody has a value."""
        row = self.row()
        if is_used(row):
            raise RuleForbids(f"People have values of “{row}”. Clear them first.")
        self.told("delete", row, {"name": row.name})
        row.delete()
        return Response(status=204)


# --- Identifier types -----------------------------------------------------------------------------------


class TypeShape(Shape):
    name = TextField(max_length=40)
    label = TextField(required=False, max_length=60, allow_blank=True)  # type: ignore[assignment]
    strength = serializers.ChoiceField(choices=IdentifierType.Strength.values, required=False)
    is_unique = serializers.BooleanField(required=False, help_text="Leads to one profile.")
    is_main = serializers.BooleanField(required=False, help_text="Makes its holder a recognized person.")
    priority = serializers.IntegerField(required=False, min_value=1, max_value=32_767)
    normalizer = serializers.ChoiceField(choices=IdentifierType.Normalizer.values, required=False)
    max_per_profile = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=32_767)
    blocked_values = serializers.ListField(child=TextField(max_length=255), required=False, max_length=1000)
    blocked_patterns = serializers.ListField(child=TextField(max_length=255), required=False, max_length=100)


class TypeChanges(TypeShape):
    name = TextField(max_length=40, required=False)


class TypeRow(TypeShape):
    id = serializers.IntegerField()
    is_builtin = serializers.BooleanField()
    job_id = serializers.IntegerField(
        required=False, help_text="The job that brings values already here in line with a changed rule."
    )


def _type(row: IdentifierType) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("id", *TypeShape().fields, "is_builtin")}


class IdentifierTypeList(DefinitionApi):
    model = IdentifierType
    ordering = ("priority", "id")
    permissions = {"GET": "profiles.view_identifiertype", "POST": "profiles.add_identifiertype"}

    @extend_schema(
        operation_id="listIdentifierTypes",
        tags=["Definitions"],
        summary="Identifier types, strongest first",
        parameters=api_schema.PAGE,
        responses={200: api_schema.page_of(TypeRow), **api_schema.ERRORS},
    )
    def get(self, request: Request) -> Response:
        return self.listed(_type)

    @extend_schema(
        operation_id="createIdentifierType",
        tags=["Definitions"],
        summary="Add an identifier type",
        parameters=api_schema.WRITE,
        request=TypeShape,
        responses={201: TypeRow, **api_schema.WRITE_ERRORS},
    )
    def post(self, request: Request) -> Response:
        made = save_form(IdentifierTypeForm, self.body(TypeShape)).save()
        self.told("create", made)
        return Response(_type(made), status=201)


class IdentifierTypeDetail(DefinitionApi):
    model = IdentifierType
    permissions = {
        "GET": "profiles.view_identifiertype",
        "PATCH": "profiles.change_identifiertype",
        "DELETE": "profiles.delete_identifiertype",
    }

    @extend_schema(
        operation_id="getIdentifierType",
        tags=["Definitions"],
        summary="An identifier type",
        responses={200: TypeRow, **api_schema.ERRORS},
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(_type(self.row()))

    @extend_schema(
        operation_id="updateIdentifierType",
        tags=["Definitions"],
        summary="Change an identity rule",
        parameters=api_schema.WRITE,
        request=TypeChanges,
        responses={200: TypeRow, **api_schema.WRITE_ERRORS},
    )
    def patch(self, request: Request, pk: int) -> Response:
        """The name is fixed; normalizer and strength while somebody holds a value. Values already here are
        brought in line by a job (`job_id`).
        """
        row, body = self.row(), self.body(TypeChanges)
        refuse_fixed(row, body, ("name",), "integrations send it. Change the label instead.")
        if has_values(row):
            refuse_fixed(row, body, ("normalizer", "strength"), "people hold values of it.")
        form = save_form(IdentifierTypeForm, body, row)
        changed = form.save()
        self.told("update", changed, {"fields": sorted(body)})
        answer = _type(changed)
        if {"is_unique", "is_main", "strength"} & set(form.changed_data):
            job = recheck_type(type_id=changed.pk, actor=self.actor)
            answer["job_id"] = job.pk if job is not None else None
        return Response(answer)

    @extend_schema(
        operation_id="deleteIdentifierType",
        tags=["Definitions"],
        summary="Remove an identifier type",
        parameters=api_schema.WRITE,
        responses={204: None, **api_schema.WRITE_ERRORS},
    )
    def delete(self, request: Request, pk: int) -> Response:
        """Only one of your own, while nobody holds a value."""
        row = self.row()
        if row.is_builtin:
            raise RuleForbids(f"“{row}” ships with the product and stays.")
        if has_values(row):
            raise RuleForbids(f"People hold values of “{row}”. Take them away first.")
        self.told("delete", row, {"name": row.name})
        row.delete()
        return Response(status=204)
