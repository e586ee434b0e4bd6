"""A request → the handler of its view → a response; ``cdp/api/__init__.py`` explains how to add a view."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.functional import cached_property
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cdp.actors import Actor
from cdp.api import key_use, parameters
from cdp.api.idempotency import Write
from cdp.api.pagination import KeysetPagination
from cdp.api.permissions import require, require_confirmed
from cdp.api.problems import NOTHING_HERE, BadParameter, HttpsRequired, TooLarge
from cdp.api.request_bodies import StrictSerializer
from cdp.api.throttling import KeyThrottle, Rate
from cdp.errors import Invalid

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
Row = TypeVar("Row")


class JsonOnly(DefaultContentNegotiation):
    """JSON whatever ``Accept`` says: a browser's default header must not turn an address into a 406."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class RateHeaders(APIView):
    """Puts ``RateLimit-*`` on every answer, errors and replays too."""

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        rate: Rate | None = getattr(request, "rate", None)
        for name, value in (rate.headers() if rate else {}).items():
            response[name] = value
        return response


class ApiView(RateHeaders):
    """Authentication, rate, rights, body limits, one transaction per write; errors as problem+json."""

    #: Method → the staff permission it needs, a tuple of them, or None for "any key or login".
    permissions: dict[str, str | tuple[str, ...] | None] = {}
    #: Methods that give access or hand out data: a session must have given its password lately.
    confirmed: frozenset[str] = frozenset()
    #: Methods beyond GET that change nothing.
    reads: frozenset[str] = frozenset()
    #: Bytes; None leaves the limit to the web server (cdp.http_requests) and the parser.
    max_body: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    ordering: tuple[str, ...] = ("-id",)
    content_negotiation_class = JsonOnly
    http_method_names = ["get", "post", "put", "patch", "delete", "head", "options"]

    @cached_property
    def actor(self) -> Actor:
        return Actor.of_request(self.request)

    def registered_parameters(self) -> list[OpenApiParameter]:
        """Parameters of GET that apps add, for its description; ``extend_schema`` is read before they have."""
        return []

    def require(self, permission: str) -> None:
        """Demand a further permission that depends on the body; a 403 names it."""
        require(self.actor, permission)

    # --- the request ---------------------------------------------------------------------------------

    def body(self, serializer_class: type[StrictSerializer]) -> dict[str, Any]:
        """The body as the serializer reads it; a ValidationError with pointers otherwise."""
        if not isinstance(self.sent, dict):
            raise Invalid([{"pointer": "", "message": "Send a JSON object."}])
        serializer = serializer_class(data=self.sent)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    @property
    def sent(self) -> Any:
        """The body as it was parsed; ``{}`` when there is none."""
        return self.request.data if self.request._request.body else {}

    def flag(self, name: str) -> bool:
        return parameters.flag(self.request, name)

    def number(self, name: str) -> int | None:
        return parameters.number(self.request, name)

    def known_parameters(self, *names: str) -> None:
        """Refuse other parameters: a mistyped filter must not list everybody."""
        known = {*names, "cursor", "page_size"}
        for name in self.request.query_params:
            if name not in known:
                listed = ", ".join(sorted(known))
                raise BadParameter(name, f"There is no parameter “{name}” here. Known parameters: {listed}.")

    def moment(self, name: str) -> datetime.datetime | None:
        return parameters.moment(self.request, name)

    @property
    def is_dry_run(self) -> bool:
        return self.flag("dry_run")

    # --- the answer ----------------------------------------------------------------------------------

    def page(
        self,
        queryset: QuerySet[Any],
        to_rows: Callable[[list[Any]], list[Any]],
        *,
        counted: QuerySet[Any] | None = None,
    ) -> Response:
        """One page of the queryset in ``self.ordering``; ``to_rows`` serializes the whole page at once.

        ``counted`` is what ``count=exact`` counts, where that is another way of asking for the same rows.
        """
        pages = KeysetPagination()
        page = pages.paginate_queryset(queryset, self.request, self, counted=counted)
        return pages.get_paginated_response(to_rows(page))

    def check_filters(self, filterset: Any) -> None:
        """Values a FilterSet cannot read are a 400 that names the parameter."""
        if filterset.is_valid():
            return
        name, messages = next(iter(filterset.errors.items()))
        raise BadParameter(name, str(messages[0]), self.request.query_params.get(name))

    # --- the way through -----------------------------------------------------------------------------

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        self.headers = self.default_response_headers
        self.request = drf_request = self.initialize_request(request, *args, **kwargs)
        try:
            self.initial(drf_request, *args, **kwargs)
            handler = getattr(self, str(drf_request.method).lower())

            def run() -> Any:
                return handler(drf_request, *args, **kwargs)

            is_write = drf_request.method not in SAFE and drf_request.method not in self.reads
            if is_write:
                response = Write(
                    drf_request, self.actor, run, self.handle_exception, self.rendered
                ).carry_out()
            else:
                response = run()
        except Exception as error:  # noqa: BLE001
            try:
                response = self.handle_exception(error)
            except Exception:
                # Unknown ones are raised again, for Django's log and 500.
                key_use.note(drf_request, 500, None)
                raise
        self.response = self.finalize_response(drf_request, response, *args, **kwargs)
        key_use.note(drf_request, self.response.status_code, getattr(response, "data", None))
        return self.response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """How, who, how often, may they, and is the request whole: in this order, the cheapest refusals first."""
        renderer, media_type = self.perform_content_negotiation(request, force=True)
        request.accepted_renderer, request.accepted_media_type = renderer, media_type
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            raise HttpsRequired
        try:
            self.perform_authentication(request)
        finally:
            self.check_throttles(request)
        self.check_permissions(request)
        if request.method in self.confirmed:
            require_confirmed(request)
        self._check_text(request)
        if request.method not in SAFE:
            self._check_body(request)
            self._read_body(request)

    def check_throttles(self, request: Request) -> None:
        """One throttle; a caller whose key is wrong is counted by address."""
        throttle = KeyThrottle()
        if not throttle.allow_request(request, self):
            self.throttled(request, throttle.wait())

    def _check_text(self, request: Request) -> None:
        """PostgreSQL keeps no NUL, so nothing matches one in an address or a query."""
        for name, values in request.query_params.lists():
            if any("\x00" in value for value in (name, *values)):
                raise BadParameter(
                    name.replace("\x00", ""), "A parameter contains the control character NUL."
                )
        if any("\x00" in str(value) for value in self.kwargs.values()):
            raise Http404(NOTHING_HERE)

    def _check_body(self, request: Request) -> None:
        raw = request.META.get("CONTENT_LENGTH") or "0"
        length = int(raw) if raw.isascii() and raw.isdigit() else 0
        if self.max_body is not None and length > self.max_body:
            raise TooLarge(f"The body has {length:,} bytes; the limit here is {self.max_body:,}.")
        encoding = request.headers.get("Content-Encoding", "identity")
        if length and encoding.lower() != "identity":
            raise UnsupportedMediaType(
                encoding, f"Content-Encoding {encoding} is not accepted here. Send the body uncompressed."
            )

    def _read_body(self, request: Request) -> None:
        """Before any transaction begins. Raises what parsing raises."""
        if not (request.content_type or "").startswith("multipart/"):
            # Kept by Django, for the fingerprint of an Idempotency-Key; else it could be read only once.
            request._request.body  # noqa: B018
        request.data  # noqa: B018

    def rendered(self, response: Any) -> Any:
        """The response with its bytes, before the transaction ends, so that they can be saved."""
        if isinstance(response, Response):
            response.accepted_renderer = self.request.accepted_renderer
            response.accepted_media_type = self.request.accepted_media_type
            response.renderer_context = self.get_renderer_context()  # type: ignore[attr-defined]
            response.render()
        return response

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})


class NothingHere(ApiView):
    """Every address under /api/ that is none."""

    schema = None

    def _refuse(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        raise Http404(NOTHING_HERE)

    get = post = put = patch = delete = _refuse
    permissions = dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"))
    reads = frozenset({"POST", "PUT", "PATCH", "DELETE"})

    def _check_body(self, request: Request) -> None:
        """Whatever was sent, the address is the mistake."""

    _read_body = _check_body

    def check_permissions(self, request: Request) -> None:
        """Everybody learns that an address does not exist."""


def rows(to_row: Callable[[Row], dict[str, Any]]) -> Callable[[Iterable[Row]], list[dict[str, Any]]]:
    """A page's serializer from one row's, for rows that need no query of their own."""
    return lambda page: [to_row(row) for row in page]
