"""The columns page: how the file is read, shown and correctable; where each column goes; saved mappings."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from cdp.actors import Actor
from cdp.errors import Conflict, Invalid, Refused, Stale
from imports.admin.pages import found, render, start_plan, url
from imports.columns import POLICIES, Context, ambiguous_columns, column_keys
from imports.downloads import can_view_pii
from imports.files import DELIMITERS, ENCODINGS
from imports.mappings import advice_for, clean_mapping_name, load_context, map_import, save_mapping
from imports.models import Import, SavedMapping
from imports.options import ON_CONFLICT
from imports.upload import reread_import
from profiles.admin.door import door, write
from profiles.masking import DOTS
from profiles.models import AttributeDefinition
from profiles.values.attributes import LABELS, define_attribute

SAMPLES = 3
CONSTANTS = 2
NEW = "new"
MARKED = "Nothing was planned yet. Correct what is marked below."


@dataclass(frozen=True, slots=True)
class Column:
    """One row of the form. ``number`` names its inputs, from 1."""

    number: int
    header: str
    samples: list[str]
    to: str
    policy: str
    remark: str
    new_name: str = ""
    new_type: str = "text"


@door("imports.view_import", "imports.add_import")
def show(request: HttpRequest, import_id: int) -> HttpResponse:
    job = found(import_id)
    if not job.can_change:
        return redirect(url("change", job))
    return _page(request, job, job.mapping)


def _page(
    request: HttpRequest,
    job: Import,
    mapping: AnyMapping[str, Any],
    *,
    posted: QueryDict | None = None,
    refusal: Refused | None = None,
) -> HttpResponse:
    context = load_context(job.options)
    problems = (
        {str(item.get("column") or item.get("field")): item["message"] for item in refusal.problems}
        if refusal
        else {}
    )
    sees = can_view_pii(job, Actor.of_request(request))
    columns = _columns(job, mapping, context, problems, posted, sees=sees)
    advice = {item["column"]: item for item in advice_for(job) if item["column"]}
    constants = _constants(mapping, problems)
    elsewhere = _names(job) | mapping.keys()
    left = [text for key, text in problems.items() if key not in elsewhere]
    shown = {
        "title": job.name,
        "job": job,
        "step": "columns",
        "columns": [(column, advice.get(column.header)) for column in columns],
        "constants": constants,
        "targets": _targets(context, mapping),
        "options": {**job.options, **(_options(posted) if posted else {})},
        "policies": POLICIES.items(),
        "types": AttributeDefinition.Type.choices,
        "on_conflict": ON_CONFLICT.items(),
        "encodings": ENCODINGS.items(),
        "delimiters": _delimiters(job),
        "delimiter_name": DELIMITERS.get(job.dialect.get("delimiter", ""), job.dialect.get("delimiter")),
        "encoding_name": ENCODINGS.get(job.dialect.get("encoding", ""), job.dialect.get("encoding")),
        "is_guessed": job.dialect.get("confidence") == "guessed"
        and "encoding" not in job.dialect.get("said", {}),
        "rows": _rows(job, sees=sees),
        "saved": _saved(request),
        "may_keep": _may_keep(request),
        "problem": " ".join(left) or (MARKED if problems else refusal.message if refusal else ""),
        "may_define": request.user.has_perm("profiles.add_attributedefinition"),
        "general": [item for item in advice_for(job) if not item["column"]],
    }
    return render(request, "columns.html", shown, status=refusal.status if refusal else 200)


def _rows(job: Import, *, sees: bool) -> list[list[str]]:
    """The first rows; others than the uploader see which cells are filled."""
    rows = job.sample[:SAMPLES]
    return rows if sees else [[DOTS if cell else "" for cell in row] for row in rows]


def _delimiters(job: Import) -> list[tuple[str, str]]:
    """(character, name); the API takes any character, so the file's own may be one more."""
    mine = job.dialect.get("delimiter", ",")
    return list({mine: mine, **DELIMITERS}.items()) if mine not in DELIMITERS else list(DELIMITERS.items())


def _saved(request: HttpRequest) -> list[SavedMapping]:
    if not request.user.has_perm("imports.view_savedmapping"):
        return []
    return list(SavedMapping.objects.order_by("name")[:100])


def _may_keep(request: HttpRequest) -> bool:
    return request.user.has_perms(["imports.add_savedmapping", "imports.change_savedmapping"])


def _names(job: Import) -> set[str]:
    return {*column_keys(job.headers), *job.headers}


def _columns(
    job: Import,
    mapping: AnyMapping[str, Any],
    context: Context,
    problems: dict[str, str],
    posted: QueryDict | None,
    *,
    sees: bool,
) -> list[Column]:
    keys = column_keys(job.headers)
    by_index = {keys[key]: entry for key, entry in mapping.items() if key in keys and "const" not in entry}
    remarks = ambiguous_columns(job.headers, context)
    columns = []
    for index, header in enumerate(job.headers):
        number = index + 1
        entry = by_index.get(index, {})
        values = [row[index] for row in job.sample if index < len(row) and row[index].strip()][:SAMPLES]
        problem = problems.get(header) or problems.get(f"#{number}")
        undecided = remarks.get(index, "") if index not in by_index else ""
        columns.append(
            Column(
                number,
                header or f"column {number}",
                values if sees else [DOTS for _ in values],
                posted.get(f"to.{number}", "")
                if posted
                else _canonical(entry.get("to", "" if undecided else "ignore")),
                posted.get(f"policy.{number}", "") if posted else entry.get("policy", ""),
                problem or undecided,
                posted.get(f"new_name.{number}", "") if posted else "",
                posted.get(f"new_type.{number}", "text") if posted else "text",
            )
        )
    return columns


def _constants(
    mapping: AnyMapping[str, Any], problems: AnyMapping[str, str]
) -> list[tuple[int, str, str, str]]:
    """(number, to, value, problem) of each, and of some empty ones to fill in."""
    given = [
        (entry["to"], entry["const"], problems.get(key, ""))
        for key, entry in mapping.items()
        if "const" in entry
    ]
    rows = [*given, *[("", "", "")] * CONSTANTS][: max(CONSTANTS, len(given))]
    return [(number, *row) for number, row in enumerate(rows, 1)]


def _targets(context: Context, mapping: AnyMapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Groups of (to, label) for the select boxes; what the mapping says beyond them comes last."""
    # An e-mail or phone column fills the attribute and identifies; these only identify.
    further = {"email": "Further e-mail", "phone": "Further phone"}
    identifiers = [
        (_canonical(f"identifier.{spec.name}"), further.get(spec.name) or spec.label or spec.name)
        for spec in context.identifiers
    ]
    consents = [
        (f"consent.{channel}.{purpose}", f"{said}: {purpose}")
        for channel, said in (("email", "E-mail"), ("sms", "SMS"))
        for purpose in ("newsletter", "marketing")
    ]
    dated = [(f"{to}.{part}", f"{label}, {part}") for to, label in consents for part in ("at", "proof")]
    custom = [(f"attributes.{spec.name}", spec.label or spec.name) for spec in context.attributes]
    groups = [
        ("Person", list(LABELS.items())),
        ("Identifiers", [("reference_id", "Reference id (letters and digits)"), *identifiers]),
        ("Custom attributes", custom),
        ("Tags", [("tags", "Tags, separated by commas")]),
        ("Consent", [*consents, *dated]),
    ]
    known = {to for _, entries in groups for to, _ in entries} | {"ignore", NEW, ""}
    others = sorted({_canonical(entry.get("to", "")) for entry in mapping.values()} - known)
    return [*groups, ("Others", [(to, to) for to in others])]


def _canonical(to: str) -> str:
    """The API takes ``customer_id`` for short, and says so itself."""
    return "customer_id" if to == "identifier.customer_id" else to


# --- Saying it ------------------------------------------------------------------------------------------


@write("imports.view_import", "imports.add_import")
def reread(request: HttpRequest, import_id: int) -> HttpResponseBase:
    """Read the file anew with another encoding, delimiter or header line."""
    job = found(import_id)
    options: dict[str, Any] = {
        "encoding": request.POST.get("encoding", ""),
        "delimiter": request.POST.get("delimiter", ""),
        "has_header": request.POST.get("has_header") == "on",
    }
    line = request.POST.get("header_line", "")
    if line.isascii() and line.isdigit():
        options["header_line"] = int(line)
    options = {name: value for name, value in options.items() if value != ""}
    try:
        reread_import(
            import_id=job.pk, options=options, revision=_revision(request), actor=Actor.of_request(request)
        )
    except Refused as refusal:
        return _page(request, job, job.mapping, refusal=refusal)
    messages.success(request, "The file was read again. Look at the columns.")
    return redirect(url("columns", job))


@write("imports.view_import", "imports.add_import")
def save(request: HttpRequest, import_id: int) -> HttpResponseBase:
    """Keep the mapping; then plan, or what the button said."""
    job = found(import_id)
    try:
        if "use" in request.POST:
            return _use(request, job)
        name = _name_to_keep(request)
        _define_new(request, job)
        mapping = _read(request.POST, job)
        changed = map_import(
            import_id=job.pk,
            mapping=mapping,
            options=_options(request.POST),
            revision=_revision(request),
            actor=Actor.of_request(request),
        )
        if name:
            return _keep(request, changed, name)
        return start_plan(request, changed)
    except Stale as refusal:
        # What was sent may be about other columns by now.
        return _page(request, found(import_id), found(import_id).mapping, refusal=refusal)
    except Refused as refusal:
        job = found(import_id)
        return _page(request, job, _loose(request.POST, job), posted=request.POST, refusal=refusal)


def _revision(request: HttpRequest) -> int | None:
    raw = request.POST.get("revision", "")
    return int(raw) if raw.isascii() and raw.isdigit() else None


def _options(post: QueryDict) -> dict[str, Any]:
    names = ("policy", "on_conflict", "clear_marker")
    return {name: post[name] for name in names if name in post}


def _key(job: Import, index: int) -> str:
    header = job.headers[index]
    return header if header and job.headers.count(header) == 1 else f"#{index + 1}"


def _loose(post: QueryDict, job: Import) -> dict[str, Any]:
    """What the form says, checked by nobody yet."""
    mapping: dict[str, Any] = {}
    for index in range(len(job.headers)):
        to = post.get(f"to.{index + 1}", "")
        if to == NEW:
            to = f"attributes.{post.get(f'new_name.{index + 1}', '').strip()}"
        if to:
            mapping[_key(job, index)] = {"to": to, "policy": post.get(f"policy.{index + 1}", "")}
    for number in range(1, 20):
        to, value = post.get(f"const_to.{number}", ""), post.get(f"const_value.{number}", "")
        if to and value.strip():
            mapping[f"constant {number}"] = {"to": to, "const": value}
    return mapping


def _read(post: QueryDict, job: Import) -> dict[str, Any]:
    mapping = _loose(post, job)
    if all(entry["to"] == "ignore" for entry in mapping.values()):
        message = "Say for at least one column where it goes."
        raise Invalid([{"field": "mapping", "value": None, "message": message}])
    return mapping


def _define_new(request: HttpRequest, job: Import) -> None:
    """Attributes named on the page are registered before the mapping that uses them (X2)."""
    numbers = [n for n in range(1, len(job.headers) + 1) if request.POST.get(f"to.{n}") == NEW]
    if not numbers:
        return
    if not request.user.has_perm("profiles.add_attributedefinition"):
        raise PermissionDenied
    problems = []
    for number in numbers:
        name = request.POST.get(f"new_name.{number}", "").strip()
        if not name:
            problems.append({"field": _key(job, number - 1), "message": "Give the new attribute a name."})
            continue
        if AttributeDefinition.objects.filter(name=name).exists():
            continue
        try:
            define_attribute(
                name=name,
                type=request.POST.get(f"new_type.{number}", "text"),
                actor=Actor.of_request(request),
            )
        except Invalid as refusal:
            problems += [{**item, "field": _key(job, number - 1)} for item in refusal.problems]
    if problems:
        raise Invalid(problems)


def _name_to_keep(request: HttpRequest) -> str:
    """What the mapping is to be kept as, "" when it is not; asked before anything is changed."""
    if "keep" not in request.POST:
        return ""
    if not _may_keep(request):
        raise PermissionDenied
    return clean_mapping_name(request.POST.get("name", ""))


def _keep(request: HttpRequest, job: Import, name: str) -> HttpResponseBase:
    save_mapping(import_id=job.pk, name=name, options=_options(request.POST), actor=Actor.of_request(request))
    messages.success(request, f"The mapping is kept as “{name}”.")
    return redirect(url("columns", job))


def _use(request: HttpRequest, job: Import) -> HttpResponseBase:
    if not request.user.has_perm("imports.view_savedmapping"):
        raise PermissionDenied
    raw = request.POST.get("saved", "")
    saved = SavedMapping.objects.filter(pk=int(raw)).first() if raw.isascii() and raw.isdigit() else None
    if saved is None:
        raise Conflict("Choose a kept mapping.")
    keys = column_keys(job.headers)
    fitting = {key: entry for key, entry in saved.mapping.items() if key in keys or "const" in entry}
    map_import(
        import_id=job.pk,
        mapping=fitting,
        options=saved.options,
        revision=_revision(request),
        actor=Actor.of_request(request),
    )
    missing = len(saved.mapping) - len(fitting)
    said = f"“{saved.name}” was used."
    if missing:
        said += f" {missing} of its columns are not in this file."
    messages.success(request, said)
    return redirect(url("columns", job))
