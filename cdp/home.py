"""The bare address → the admin; /llms.txt → an index of API and documents for machines that read."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from cdp import docs

_INDEX = """\
# People: a customer data platform

> One profile per person, built from files, web tracking and API calls. Every merge and deletion can be
> undone, every value shows who set it, and every rejected row shows why. Staff work in {url}/admin/, programs over REST.

## API

- [OpenAPI 3 description]({url}/api/v1/schema/): every path, shape, error and scope, as JSON
- [Browsable documentation]({url}/api/v1/docs/): the same, to read and try

Send `Authorization: Bearer <api key>`; a key is made under Settings, API keys, or with
`manage.py apikey create NAME --scopes all`. Every write takes `Idempotency-Key` and `?dry_run=true`. Errors are
`application/problem+json` with sentences. Lists are paged by `next` and `previous`.

- Find a person: `GET {url}/api/v1/profiles/?q=` or by any identifier, `GET {url}/api/v1/profiles/email:ann@example.com/`
- Merge and undo: `POST {url}/api/v1/profiles/WINNER/merge/`, `POST {url}/api/v1/merges/MERGE/unmerge/`
- Import a file: `POST {url}/api/v1/imports/`, look at its plan, then `POST {url}/api/v1/imports/ID/apply/`

## Running it

- [Health]({url}/readyz): database, broker, worker and migrations as JSON
- `manage.py doctor --json`: every invariant of the data, and the fix where one is broken
"""


@require_safe
def to_admin(request: HttpRequest) -> HttpResponse:
    """People who open the bare address come to work."""
    return redirect("admin:index")


@require_safe
def llms(request: HttpRequest) -> HttpResponse:
    """What there is, in one page of plain text (the llms.txt convention). Contains nobody's data."""
    url = settings.CDP_URL.rstrip("/")
    documents = "\n".join(
        f"- [{document.title}]({url}/docs/{document.name}.md): {document.summary}"
        for document in docs.documents().values()
    )
    text = f"{_INDEX.format(url=url)}\n## Documents\n\n{documents}\n"
    return HttpResponse(text, content_type="text/plain; charset=utf-8")
