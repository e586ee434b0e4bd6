"""Calls on a list of rows and on one row → the actions of Django REST framework, by the rules of ``ApiView``."""

from __future__ import annotations

from typing import Any

from rest_framework import mixins
from rest_framework.viewsets import GenericViewSet

from cdp.api.views import ApiView
from cdp.errors import NotFound


class ApiViewSet(ApiView, GenericViewSet[Any]):
    """The base of every viewset: add the mixins of the actions there are.

    ``queryset``, ``serializer_class`` and ``perform_create`` … ``perform_destroy`` are those of Django REST framework;
    ``permissions`` names what each method needs, for a further action in its ``@action(permissions=…)``.
    """

    lookup_value_converter = "int"
    # ``ApiView.initial`` knows no format suffixes in addresses, which serializers may ask for.
    format_kwarg = None

    def get_object(self) -> Any:
        """The row that the address names; raises NotFound. One query."""
        pk = self.kwargs[self.lookup_url_kwarg or self.lookup_field]
        queryset = self.get_queryset()
        row = queryset.filter(pk=pk).first()
        if row is None:
            raise NotFound(f"There is no {queryset.model._meta.verbose_name} #{pk}.")
        return row

    def get_success_headers(self, data: Any) -> dict[str, str]:
        """None: a row's own field ``url`` is not where it can be read, as the mixin supposes."""
        return {}


class ApiModelViewSet(
    mixins.ListModelMixin,
    mixins.CreateModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    ApiViewSet,
):
    """List, create, retrieve, change (PATCH) and delete the rows of one model."""
