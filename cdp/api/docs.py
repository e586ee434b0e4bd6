"""The OpenAPI description and the pages that show it, served from this very installation."""

from __future__ import annotations

from csp.decorators import csp_update
from django.utils.decorators import method_decorator
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from cdp.api.views import OneAnswer, RateHeaders


class SchemaView(RateHeaders, SpectacularAPIView):
    """The OpenAPI 3 description: YAML, or JSON with ``Accept: application/json`` or ``?format=json``."""


# The page's own script builds inline style attributes and shows data: images. Scripts stay 'self' alone,
# and nothing on this page is written by people, so a style can carry nothing out.
_DOCS_CSP = {"style-src-attr": ["'unsafe-inline'"], "style-src-elem": ["'self'"], "img-src": ["data:"]}


@method_decorator(csp_update(_DOCS_CSP), name="dispatch")
class DocsView(RateHeaders, SpectacularSwaggerSplitView):
    """The browsable documentation, served from this very installation."""

    url_name = "api-schema"
    template_name = "cdp/api_docs.html"
    content_negotiation_class = OneAnswer
