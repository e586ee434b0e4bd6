"""The posted columns form → a mapping and options, and the attributes it asks to create."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, QueryDict

from cdp.actors import Actor
from cdp.errors import Invalid
from imports.admin.column_rows import CONSTANTS, PROOF
from imports.admin.wording import IGNORE, NEW, is_consent_state, may_have_separator
from imports.columns import COUNTRY_OF_ROW, column_keys
from imports.models import Import
from imports.options import REGRANT_OPTIONS
from profiles.models import AttributeDefinition
from profiles.values.attributes import define_attribute

# What the select box sends → the quote.
QUOTES = {"double": '"', "single": "'", "none": ""}
OPTIONS = ("policy", "on_conflict", "clear_marker", "bad_cells", "date_order", *REGRANT_OPTIONS)
_MAX_CONSTANTS = 20


def posted_number(post: QueryDict, name: str) -> int | None:
    raw = post.get(name, "")
    return int(raw) if raw.isascii() and raw.isdigit() else None


def posted_options(post: QueryDict) -> dict[str, Any]:
    """A check box that is not checked is not posted, but for it the others are."""
    options: dict[str, Any] = {name: post[name] for name in OPTIONS if name in post}
    if options:
        options["empty_words"] = post.get("empty_words") == "on"
    if "phone_country" in post:
        where, otherwise = post["phone_country"], post.get("phone_otherwise", "")
        options["phone_country"] = f"{where}:{otherwise}" if where == COUNTRY_OF_ROW and otherwise else where
    return options


def posted_reading(post: QueryDict) -> dict[str, Any]:
    """How the file is to be read: only what was filled in."""
    options = {
        "encoding": post.get("encoding", ""),
        "delimiter": post.get("delimiter", ""),
        "quotechar": QUOTES.get(post.get("quotechar", "")),
        "skip_space": post.get("skip_space") == "on",
        "has_header": post.get("has_header") == "on",
        "header_line": posted_number(post, "header_line"),
        "max_quoted_lines": posted_number(post, "max_quoted_lines"),
    }
    return {
        name: value
        for name, value in options.items()
        if value is not None and (value != "" or name == "quotechar")
    }


def column_key(import_: Import, index: int) -> str:
    """How a mapping names a column: by its header, or by its number where the header is not unique."""
    header = import_.headers[index]
    return header if header and import_.headers.count(header) == 1 else f"#{index + 1}"


def unchecked_mapping(post: QueryDict, import_: Import) -> dict[str, Any]:
    """The mapping as posted, before any check."""
    mapping: dict[str, Any] = {}
    for index in range(len(import_.headers)):
        number, key = index + 1, column_key(import_, index)
        to = post.get(f"to.{number}", "")
        if to == NEW:
            to = f"attributes.{post.get(f'new_name.{number}', '').strip()}"
        if to:
            mapping[key] = {
                "to": to,
                "policy": post.get(f"policy.{number}", ""),
                **_details(post, number, to),
            }
        if is_consent_state(to) and post.get(f"proof.{number}", "").strip():
            mapping[PROOF + key] = {"to": f"{to}.proof", "const": post[f"proof.{number}"]}
    for number in range(1, _MAX_CONSTANTS):
        to, value = post.get(f"const_to.{number}", ""), post.get(f"const_value.{number}", "")
        if to and value.strip():
            mapping[f"constant {number}"] = {"to": to, "const": value}
    return mapping


def _details(post: QueryDict, number: int, to: str) -> dict[str, Any]:
    """What else was said of a column; only what belongs to the target it has now."""
    if to == IGNORE:
        return {"confirmed": post.get(f"confirm.{number}") == "on"}
    if is_consent_state(to):
        words = zip(post.getlist(f"word.{number}"), post.getlist(f"word_means.{number}"), strict=False)
        return {
            "meaning": post.get(f"meaning.{number}", ""),
            "values": {word: state for word, state in words if word and state},
        }
    separator = post.get(f"separator.{number}", "")
    return {"separator": separator} if separator and may_have_separator(to) else {}


def posted_mapping(post: QueryDict, import_: Import) -> dict[str, Any]:
    """``unchecked_mapping``, refused when every column is left out."""
    mapping = unchecked_mapping(post, import_)
    if all(entry["to"] == IGNORE for entry in mapping.values()):
        message = "Choose for at least one column where it goes."
        raise Invalid([{"field": "mapping", "value": None, "message": message}])
    return mapping


def constant_rows(
    import_: Import, mapping: AnyMapping[str, Any], problems: AnyMapping[str, str]
) -> list[tuple[int, str, str, str]]:
    """(number, to, value, problem) of each constant but the proofs, and of some empty ones to fill in."""
    keys = column_keys(import_.headers)
    constants = [
        (entry["to"], entry["const"], problems.get(key, ""))
        for key, entry in mapping.items()
        if "const" in entry and not (key.startswith(PROOF) and key.removeprefix(PROOF) in keys)
    ]
    rows = [*constants, *[("", "", "")] * CONSTANTS][: max(CONSTANTS, len(constants))]
    return [(number, *row) for number, row in enumerate(rows, 1)]


def define_new_attributes(request: HttpRequest, import_: Import) -> None:
    """Attributes named on the page are created before the mapping that uses them. Raises Invalid, PermissionDenied."""
    numbers = [n for n in range(1, len(import_.headers) + 1) if request.POST.get(f"to.{n}") == NEW]
    if not numbers:
        return
    if not request.user.has_perm("profiles.add_attributedefinition"):
        raise PermissionDenied
    problems = []
    for number in numbers:
        name = request.POST.get(f"new_name.{number}", "").strip()
        key = column_key(import_, number - 1)
        if not name:
            problems.append({"field": key, "message": "Give the new attribute a name."})
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
            problems += [{**item, "field": key} for item in refusal.problems]
    if problems:
        raise Invalid(problems)
