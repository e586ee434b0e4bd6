"""The columns page: how the file is read, where each column goes, what the first rows become; saved mappings."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from cdp.actors import Actor
from cdp.errors import Conflict, Refused, Stale
from cdp.looks import saw
from imports.admin.column_checks import checks
from imports.admin.column_form import (
    QUOTES,
    constant_rows,
    define_new_attributes,
    posted_mapping,
    posted_number,
    posted_options,
    posted_reading,
    unchecked_mapping,
)
from imports.admin.column_preview import Draft, draft_of, row_previews
from imports.admin.column_rows import ASK, IN, OUT, ColumnRow, column_rows
from imports.admin.pages import get_import, render, start_plan, url
from imports.admin.wording import (
    ON_CONFLICT,
    POLICIES,
    QUOTE_NAMES,
    date_order_choices,
    phone_country_choices,
    target_groups,
    target_labels,
)
from imports.columns import BAD_CELLS, COUNTRY_OF_ROW, FILL, Context, advise, column_keys
from imports.downloads import can_view_pii
from imports.files import CSV, DELIMITERS, ENCODINGS, FORMATS
from imports.mappings import advice_for, clean_mapping_name, load_context, map_import, save_mapping
from imports.models import Import, SavedMapping
from imports.options import regrants
from imports.upload import reread_import
from profiles.admin.staff_views import staff_view, write
from profiles.consent.ledger import REGRANT
from profiles.identity.normalize import country_choices
from profiles.masking import DOTS
from profiles.models import AttributeDefinition, Consent

RAW_ROWS = 3
MARKED = "Nothing is planned yet. Correct what is marked below."


@staff_view("imports.view_import", "imports.add_import")
def show(request: HttpRequest, import_id: int) -> HttpResponse:
    import_ = get_import(import_id)
    if not import_.can_change:
        return redirect(url("change", import_))
    return _page(request, import_, import_.mapping)


def _page(
    request: HttpRequest,
    import_: Import,
    mapping: AnyMapping[str, Any],
    *,
    posted: QueryDict | None = None,
    refusal: Refused | None = None,
) -> HttpResponse:
    """The page with this mapping; after a refused form, with what it contained and what is wrong with it."""
    options = {**import_.options, **(posted_options(posted) if posted else {})}
    context = load_context(options)
    problems = _problems(refusal)
    unmasked = can_view_pii(import_, Actor.of_request(request))
    saw([], subject=f"import:{import_.pk}")
    draft = draft_of(import_, mapping, context, options.get("policy", FILL))
    columns = column_rows(
        import_,
        mapping,
        draft,
        context,
        problems=problems,
        advice=advice_for(import_),
        posted=posted,
        can_view_pii=unmasked,
    )
    constants = constant_rows(import_, mapping, problems)
    targets = target_groups(context, [entry.get("to", "") for entry in mapping.values()])
    labels = target_labels(targets)
    return render(
        request,
        "columns.html",
        {
            "title": import_.name,
            "import": import_,
            "step": "columns",
            "columns": columns,
            "groups": _groups(columns),
            "own_rules": [
                (column, POLICIES[column.policy]) for column in columns if column.policy in POLICIES
            ],
            "constants": constants,
            "targets": targets,
            "labels": labels,
            "previews": row_previews(import_, draft, labels, can_view_pii=unmasked),
            "checks": checks(import_, columns, draft, context, labels),
            "sampled": len(import_.sample),
            "options": options,
            "policies": POLICIES.items(),
            "on_conflict": ON_CONFLICT.items(),
            "is_whole_file_open": any(constant[1] for constant in constants) or regrants(options),
            "bad_cells": BAD_CELLS.items(),
            "date_orders": date_order_choices(),
            **_phone_answer(options),
            "file_questions": _file_questions(import_, draft, context),
            "types": AttributeDefinition.Type.choices,
            "saved": _saved(request),
            "may_save": _may_save(request),
            "may_regrant": request.user.has_perm(REGRANT) and any(column.is_consent for column in columns),
            "reasons": Consent.Reason.choices,
            "may_define": request.user.has_perm("profiles.add_attributedefinition"),
            "problem": _headline(import_, mapping, problems, refusal),
            **_reading(import_, refusal, unmasked=unmasked),
        },
        status=refusal.status if refusal else 200,
    )


def _phone_answer(options: AnyMapping[str, Any]) -> dict[str, Any]:
    where, _, otherwise = options.get("phone_country", "").partition(":")
    return {
        "phone_countries": phone_country_choices(settings.CDP_PHONE_REGION),
        "phone_country": where,
        "phone_otherwise": otherwise,
        "countries": country_choices(),
        "asks_otherwise": where == COUNTRY_OF_ROW,
    }


def _file_questions(import_: Import, draft: Draft, context: Context) -> dict[str, str]:
    """code → sentence, of what nobody said yet about the dates and phone numbers of the file."""
    return {
        item.code: item.message
        for item in advise(draft.mapping, import_.sample, context)
        if item.code in ("date_order", "phone_country")
    }


def _problems(refusal: Refused | None) -> dict[str, str]:
    """Message by column or field."""
    if refusal is None:
        return {}
    return {str(item.get("column") or item.get("field")): item["message"] for item in refusal.problems}


def _headline(
    import_: Import,
    mapping: AnyMapping[str, Any],
    problems: AnyMapping[str, str],
    refusal: Refused | None,
) -> str:
    """What the alert says: the problems that belong to no column, or that some do."""
    beside_columns = {*column_keys(import_.headers), *import_.headers, *mapping}
    general = [message for key, message in problems.items() if key not in beside_columns]
    return " ".join(general) or (MARKED if problems else refusal.message if refusal else "")


def _groups(columns: list[ColumnRow]) -> dict[str, list[ColumnRow]]:
    return {group: [column for column in columns if column.group == group] for group in (ASK, IN, OUT)}


def _reading(import_: Import, refusal: Refused | None, *, unmasked: bool) -> dict[str, Any]:
    """How the file is read, with its first rows; without the right to personal data, which cells are filled."""
    dialect = import_.dialect
    rows = import_.sample[:RAW_ROWS]
    is_guessed = dialect.get("confidence") == "guessed" and "encoding" not in dialect.get("chosen", {})
    return {
        "is_csv": dialect.get("format", CSV) == CSV,
        "format_name": _format_name(dialect),
        "encodings": ENCODINGS.items(),
        "delimiters": _delimiters(import_),
        "is_guessed": is_guessed,
        "is_reading_open": is_guessed or bool(dialect.get("remarks")) or refusal is not None,
        "quote_key": _quote_key(dialect.get("quotechar", '"')),
        "quotes": QUOTE_NAMES.items(),
        "above": dialect.get("above", []) if unmasked else [],
        "raw_rows": rows if unmasked else [[DOTS if cell else "" for cell in row] for row in rows],
    }


def _format_name(dialect: AnyMapping[str, Any]) -> str:
    """“UTF-8, comma”, or “JSON Lines”, which has neither to choose."""
    if dialect.get("format", CSV) != CSV:
        return FORMATS[dialect["format"]]
    encoding, delimiter = str(dialect.get("encoding", "")), str(dialect.get("delimiter", ""))
    return f"{ENCODINGS.get(encoding, encoding)}, {DELIMITERS.get(delimiter, delimiter)}"


def _quote_key(quotechar: str) -> str:
    return next(key for key, char in QUOTES.items() if char == quotechar)


def _delimiters(import_: Import) -> list[tuple[str, str]]:
    """(character, name); the API takes any character, so the file's own may be one more."""
    own = import_.dialect.get("delimiter", ",")
    return list(({own: own} if own not in DELIMITERS else {}).items()) + list(DELIMITERS.items())


def _saved(request: HttpRequest) -> list[SavedMapping]:
    if not request.user.has_perm("imports.view_savedmapping"):
        return []
    return list(SavedMapping.objects.order_by("name")[:100])


def _may_save(request: HttpRequest) -> bool:
    return request.user.has_perms(["imports.add_savedmapping", "imports.change_savedmapping"])


# --- Writes -------------------------------------------------------------------------------------------


@write("imports.view_import", "imports.add_import")
def reread(request: HttpRequest, import_id: int) -> HttpResponseBase:
    """Read the file anew with another encoding, delimiter or header line."""
    import_ = get_import(import_id)
    try:
        reread_import(
            import_id=import_.pk,
            options=posted_reading(request.POST),
            revision=posted_number(request.POST, "revision"),
            actor=Actor.of_request(request),
        )
    except Refused as refusal:
        return _page(request, import_, import_.mapping, refusal=refusal)
    messages.success(request, "The file was read again. Look at the columns.")
    return redirect(url("columns", import_))


@write("imports.view_import", "imports.add_import")
def save(request: HttpRequest, import_id: int) -> HttpResponseBase:
    """Store the mapping; then plan, or what the button asks for: check it, save it by name, use a saved one."""
    import_ = get_import(import_id)
    try:
        if "use" in request.POST:
            return _use_saved(request, import_)
        name = _name_to_save(request)
        define_new_attributes(request, import_)
        mapped = map_import(
            import_id=import_.pk,
            mapping=posted_mapping(request.POST, import_),
            options=posted_options(request.POST),
            revision=posted_number(request.POST, "revision"),
            actor=Actor.of_request(request),
        )
        if name:
            return _save_by_name(request, mapped, name)
        if "check" in request.POST:
            messages.success(request, "The columns are saved and checked again. Nothing is planned yet.")
            return redirect(url("columns", mapped))
        return start_plan(request, mapped)
    except Stale as refusal:
        # The posted form may be about other columns by now.
        import_ = get_import(import_id)
        return _page(request, import_, import_.mapping, refusal=refusal)
    except Refused as refusal:
        import_ = get_import(import_id)
        mapping = unchecked_mapping(request.POST, import_)
        return _page(request, import_, mapping, posted=request.POST, refusal=refusal)


def _name_to_save(request: HttpRequest) -> str:
    """The name to save the mapping under, "" when it is not to be saved; checked before anything is changed."""
    if "keep" not in request.POST:
        return ""
    if not _may_save(request):
        raise PermissionDenied
    return clean_mapping_name(request.POST.get("name", ""))


def _save_by_name(request: HttpRequest, import_: Import, name: str) -> HttpResponseBase:
    save_mapping(
        import_id=import_.pk,
        name=name,
        options=posted_options(request.POST),
        actor=Actor.of_request(request),
    )
    messages.success(request, f"The mapping is saved as “{name}”.")
    return redirect(url("columns", import_))


def _use_saved(request: HttpRequest, import_: Import) -> HttpResponseBase:
    if not request.user.has_perm("imports.view_savedmapping"):
        raise PermissionDenied
    saved_id = posted_number(request.POST, "saved")
    saved = SavedMapping.objects.filter(pk=saved_id).first() if saved_id else None
    if saved is None:
        raise Conflict("Choose a saved mapping.")
    keys = column_keys(import_.headers)
    fitting = {key: entry for key, entry in saved.mapping.items() if key in keys or "const" in entry}
    map_import(
        import_id=import_.pk,
        mapping=fitting,
        options=saved.options,
        revision=posted_number(request.POST, "revision"),
        actor=Actor.of_request(request),
    )
    missing = len(saved.mapping) - len(fitting)
    message = f"“{saved.name}” is used."
    if missing:
        is_ = "is" if missing == 1 else "are"
        message += f" {missing} of its columns {is_} not in this file."
    messages.success(request, message)
    return redirect(url("columns", import_))
