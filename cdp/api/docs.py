"""The OpenAPI description and the pages that display it, served from this very installation."""

from __future__ import annotations

from csp.decorators import csp_update
from django.utils.decorators import method_decorator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from cdp.api.views import JsonOnly, RateHeaders


class SchemaView(RateHeaders, SpectacularAPIView):
    """The OpenAPI 3 description: JSON, or YAML with ``Accept: application/yaml``."""

    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer2, OpenApiYamlRenderer]


# The page's script builds inline style attributes. Scripts and sheets stay 'self' alone, and nothing on this
# page is written by people, so a style can carry nothing out.
_DOCS_CSP = {"style-src-attr": ["'unsafe-inline'"], "style-src-elem": ["'self'"]}


@method_decorator(csp_update(_DOCS_CSP), name="dispatch")
class DocsView(RateHeaders, SpectacularSwaggerSplitView):
    """The browsable documentation, served from this very installation."""

    url_name = "api-schema"
    template_name = "cdp/api_docs.html"
    content_negotiation_class = JsonOnly
