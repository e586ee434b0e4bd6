"""The Help: documents of the repository as pages of the admin, for every login; the same as text for machines."""

from __future__ import annotations

from functools import partial

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from cdp import docs
from cdp.admin.site import ExtraPage, extra_pages

_MISSING = "There is no help page “{}”."


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": "Help", "documents": docs.documents().values()}
    return TemplateResponse(request, "admin/cdp/help/index.html", context)


@require_safe
def page(request: HttpRequest, name: str) -> HttpResponse:
    document = docs.documents().get(name)
    if document is None:
        raise Http404(_MISSING.format(name))
    urls = {kind: partial(_url, f"admin:cdp_help_{kind}") for kind in ("page", "image")}
    html = docs.as_html(document, page_url=urls["page"], image_url=urls["image"])
    context = {
        **admin.site.each_context(request),
        "title": document.title,
        "document": document,
        "documents": docs.documents().values(),
        "html": html,
    }
    return TemplateResponse(request, "admin/cdp/help/page.html", context)


def _url(view: str, name: str) -> str:
    return reverse(view, args=[name])


@require_safe
def image(request: HttpRequest, name: str) -> HttpResponse:
    path = docs.image(name)
    if path is None:
        raise Http404(f"There is no picture “{name}”.")
    return HttpResponse(path.read_bytes(), content_type="image/png")


@require_safe
def source(request: HttpRequest, name: str) -> HttpResponse:
    """The document as it stands in the repository, for everybody: it is no secret and holds nobody's data."""
    document = docs.documents().get(name)
    if document is None:
        raise Http404(_MISSING.format(name))
    return HttpResponse(document.text, content_type="text/markdown; charset=utf-8")


for _route, _view, _kind in (
    ("help/", index, "index"),
    ("help/<slug:name>/", page, "page"),
    ("help/images/<slug:name>.png", image, "image"),
):
    extra_pages.register(f"cdp_help_{_kind}", ExtraPage(_route, _view, f"cdp_help_{_kind}"))
