"""The REST API's building blocks: authentication, permissions, requests, responses and errors.

To add an endpoint:

1. Rows that staff manage: a viewset on ``cdp.api.viewsets.ApiModelViewSet`` with ``queryset``, ``serializer_class`` and
   ``perform_create`` … as in Django REST framework, registered with a ``cdp.api.routes.Router``. Anything else:
   subclass ``cdp.api.views.ApiView``, write ``get``/``post``/… and route it with
   ``both("v1/imports/<int:pk>/apply", View, "api-import-apply")``. Either answers with and without the trailing slash.
2. ``permissions`` names, per method, the staff permission it needs (``{"GET": "profiles.view_profile"}``); ``None``
   admits any key or login. A method that is not named there is refused. Methods that give access or hand out data of
   many are in ``confirmed``, too: a session must have given its password lately (pages: ``cdp.admin.confirm``).
3. Describe the body with a ``StrictSerializer`` and read it with ``self.body(TagMergeBody)``: unknown fields and wrong
   types become a 400 with JSON pointers. Query parameters: ``self.flag("dry_run")``, ``self.number("profile")``,
   ``parameters.choice``.
4. Call one verb with ``actor=self.actor`` (in ``profiles.api``: ``**self.verb()``, which adds the source). Let it raise:
   every ``Refused`` becomes problem+json with its own status and sentence. Return ``Response(data, status=…)``.
5. Lists: ``return self.page(queryset, to_rows)``, where ``to_rows(list of rows)`` serializes a page in a constant
   number of queries; ``ordering = ("-id",)`` on the view is the keyset and must end in a unique column.
6. ``extend_schema`` names the operation and its answers; what all writes, lists and errors share is added by
   ``cdp.api.openapi``. The tests check every answer against that description.

Every write (POST, PUT, PATCH, DELETE) runs in one transaction, honours ``Idempotency-Key`` and
``?dry_run=true`` (the very same handler, rolled back, with its effects listed) without any code in the view.
A POST that only reads sets ``reads = frozenset({"POST"})``. An upload sets ``parser_classes`` and ``max_body``.

This package's own names are what settings.REST_FRAMEWORK points at; views live in submodules because
Django REST framework loads these names while it is itself being imported.
"""

from cdp.api.authentication import ApiKeyAuthentication, StaffSession
from cdp.api.json import OrjsonRenderer, StrictJSONParser
from cdp.api.pagination import KeysetPagination
from cdp.api.permissions import HasScope
from cdp.api.problems import problem
from cdp.api.throttling import KeyThrottle

__all__ = [
    "ApiKeyAuthentication",
    "HasScope",
    "KeyThrottle",
    "KeysetPagination",
    "OrjsonRenderer",
    "StaffSession",
    "StrictJSONParser",
    "problem",
]
