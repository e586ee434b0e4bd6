"""What storing events costs the plain way: a DRF ModelViewSet with many=True and bulk_create, served the same way."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings

django.setup()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from rest_framework import routers, serializers, viewsets  # noqa: E402

from profiles.models import Event  # noqa: E402


class EventListSerializer(serializers.ListSerializer):
    def create(self, validated_data: list[dict[str, Any]]) -> list[Event]:
        return Event.objects.bulk_create([Event(**fields) for fields in validated_data])


class EventSerializer(serializers.ModelSerializer):
    class Meta:
        model = Event
        list_serializer_class = EventListSerializer
        fields = ("profile", "name", "kind", "occurred_at", "message_id", "source", "properties", "context")
        validators: list[Any] = []  # one query per row less than it would have


class EventViewSet(viewsets.ModelViewSet):
    queryset = Event.objects.all()
    serializer_class = EventSerializer
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        return super().get_serializer(*args, many=True, **kwargs)


router = routers.SimpleRouter()
router.register("events", EventViewSet)
urlpatterns = [path("", include(router.urls)), path("healthz", lambda request: HttpResponse())]

settings.ROOT_URLCONF = "tests.bench.naive"
application = WSGIHandler()
