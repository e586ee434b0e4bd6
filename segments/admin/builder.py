"""The form that makes and changes a segment: its rule as a tree, counted while it is written, saved as a version.

Every button of the tree is a submit that the server answers with the tree as it is then; with JavaScript only that part of the
page is fetched. So the page does the same without.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from cdp.actors import Actor
from cdp.errors import Invalid, Refused, Stale
from cdp.ids import row_id
from cdp.limits import TooSlow
from profiles.admin.staff_views import form_page, may_see, write
from segments.admin.frame import ADD, CHANGE, VIEW, find_row, people, render, url
from segments.draft import ROOT, Draft, apply, attach, controls_of, draft_of, read_draft, rule_json, starts
from segments.editing import change_segment, create_segment
from segments.evaluate.changes import count_changes
from segments.evaluate.preview import Counted, Kept, count_people, what_keeps_out
from segments.form.suggestions import Suggestions
from segments.from_filters import rule_of
from segments.models import Segment
from segments.rules.parse import parse_rule
from segments.rules.tree import Rule
from segments.vocabulary import Vocabulary

# How long “Count anyway” may take.
PATIENT_MS = 30_000
# Beginnings that have a button of their own; the others are under “More”.
_MAIN = 60
_MATCHES = (("all", "all of these"), ("any", "any of these"), ("none", "none of these"))


@form_page(VIEW, ADD)
def add(request: HttpRequest) -> HttpResponse:
    """Empty, or begun from the filters of the list of people (``?from=``)."""
    if request.method == "POST":
        return _answer(request, None)
    form = {"name": "", "description": "", "kind": Segment.Kind.RULE}
    if "from" not in request.GET:
        return _page(request, None, form, draft_of(None))
    suggestions = _suggestions(request, None)
    rules, left_out = rule_of(request.GET["from"], suggestions.vocabulary)
    errors = [f"No condition says this yet, so it is left out: {', '.join(left_out)}."] if left_out else []
    return _page(request, None, form, draft_of(rules), errors, suggestions=suggestions, is_counted=True)


@form_page(VIEW, CHANGE)
def edit(request: HttpRequest, segment_id: int) -> HttpResponse:
    segment = find_row(segment_id)
    if segment.state == Segment.State.ARCHIVED:
        messages.error(request, f"“{segment.name}” is archived. Bring it back first.")
        return redirect(url("change", segment.pk))
    if request.method == "POST":
        return _answer(request, segment)
    form = {"name": segment.name, "description": segment.description, "version": str(segment.version)}
    return _page(request, segment, form, draft_of(segment.rules))


@write(VIEW, CHANGE)
def shape(request: HttpRequest) -> HttpResponse:
    """The tree alone, after what a button did to it."""
    suggestions = _suggestions(request, _posted_segment(request))
    draft = read_draft(request.POST, suggestions)
    focus = apply(draft, request.POST.get("do", ""))
    response = render(request, "tree.html", _tree(draft, suggestions, focus))
    response["HX-Trigger-After-Settle"] = "rule-changed"
    return response


@write(VIEW, CHANGE)
def preview(request: HttpRequest) -> HttpResponse:
    """How many people the rule means as it is typed now, and what keeps the others out."""
    segment = _posted_segment(request)
    suggestions = _suggestions(request, segment)
    draft = read_draft(request.POST, suggestions)
    context = _preview(request, segment, draft, suggestions)
    return render(request, "preview.html", {**context, "is_part": True})


# --- Saving -----------------------------------------------------------------------------------------------


def _answer(request: HttpRequest, segment: Segment | None) -> HttpResponse:
    """What a posted form asks for: a change of the tree, or to be saved."""
    form = {
        name: request.POST.get(name, "").strip()
        for name in ("name", "description", "kind", "version", "confirmed")
    }
    suggestions = _suggestions(request, segment)
    draft = read_draft(request.POST, suggestions)
    action = request.POST.get("do", "save")
    if action != "save":
        focus = apply(draft, action)
        return _page(request, segment, form, draft, suggestions=suggestions, focus=focus, is_counted=True)
    is_static = segment.is_static if segment else form["kind"] == Segment.Kind.STATIC
    try:
        if is_static:
            return _saved(request, segment, form, None)
        rule = _checked(draft, suggestions)
        if segment is not None and _must_confirm(segment, rule, form["confirmed"]):
            return _page(request, segment, form, draft, suggestions=suggestions, is_counted=True, asks=True)
        return _saved(request, segment, form, rule.json)
    except Stale as stale:
        current = find_row(segment.pk) if segment else None
        form["version"] = str(current.version) if current else ""
        return _page(
            request, current, form, draft, [stale.message], suggestions=suggestions, newer=current, status=409
        )
    except Refused as refusal:
        sentences = _place_problems(draft, refusal)
        return _page(request, segment, form, draft, sentences, suggestions=suggestions, status=400)


def _saved(
    request: HttpRequest, segment: Segment | None, form: dict[str, str], rules: dict[str, Any] | None
) -> HttpResponse:
    actor = Actor.of_request(request)
    if segment is None:
        made = create_segment(
            name=form["name"],
            description=form["description"],
            kind=form["kind"] or Segment.Kind.RULE,
            rules=rules,
            actor=actor,
        )
        messages.success(request, f"The segment “{made.name}” is made.")
        return redirect(url("change", made.pk))
    saved = change_segment(
        segment_id=segment.pk,
        name=form["name"],
        description=form["description"],
        rules=rules,
        version=row_id(form["version"]) if form["version"] else None,
        actor=actor,
    )
    is_new = saved.version != segment.version
    messages.success(request, f"Version {saved.version} is saved." if is_new else f"“{saved.name}” is saved.")
    return redirect(url("change", saved.pk))


def _checked(draft: Draft, suggestions: Suggestions) -> Rule:
    """The rule. Raises Invalid with everything that is wrong."""
    raw = rule_json(draft)
    if not draft.parts:
        message = "The rule is empty. Add a condition first."
        raise Invalid([{"field": "", "value": None, "message": message}])
    if unread := [part for part in draft.walk() if part.errors]:
        raise Invalid([{"field": part.pointer, "value": None, "message": ""} for part in unread])
    return parse_rule(raw, suggestions.vocabulary)


def _place_problems(draft: Draft, refusal: Refused) -> list[str]:
    """Puts problems at their parts; the sentences for the head of the page."""
    own = {"name", "kind", "rules", "description"}
    of_rule = [one for one in refusal.problems if one["field"] not in own and one["message"]]
    rest = attach(draft, of_rule)
    rest += [str(one["message"]) for one in refusal.problems if one["field"] in own]
    if not refusal.problems:
        rest.append(refusal.message)
    return rest or ["Nothing was saved. Correct the marked conditions."]


def _must_confirm(segment: Segment, rule: Rule, confirmed: str) -> bool:
    """Whether the members change by a rule whose effect was not shown yet."""
    return rule.json != segment.rules and confirmed != _digest(rule)


def _digest(rule: Rule) -> str:
    return hashlib.sha256(orjson.dumps(rule.json)).hexdigest()[:20]


# --- The page ---------------------------------------------------------------------------------------------


def _page(
    request: HttpRequest,
    segment: Segment | None,
    form: dict[str, str],
    draft: Draft,
    errors: list[str] | None = None,
    *,
    suggestions: Suggestions | None = None,
    focus: str = "",
    is_counted: bool = False,
    asks: bool = False,
    newer: Segment | None = None,
    status: int = 200,
) -> HttpResponse:
    suggestions = suggestions or _suggestions(request, segment)
    context: dict[str, Any] = {
        "title": segment.name if segment else "New segment",
        "segment": segment,
        "form": form,
        "errors": errors or [],
        "newer": newer.versions.select_related("user", "key").first() if newer else None,
        "asks": asks,
        "is_static": segment.is_static if segment else form.get("kind") == Segment.Kind.STATIC,
        "zone": suggestions.zone,
    }
    if is_counted and draft.parts:
        context |= _preview(request, segment, draft, suggestions)
    context |= _tree(draft, suggestions, focus, context.get("kept"))
    return render(request, "builder.html", context, status=status)


def _tree(
    draft: Draft, suggestions: Suggestions, focus: str = "", kept: dict[str, Any] | None = None
) -> dict[str, Any]:
    every = starts()
    return {
        "root": draft,
        "parts": _rows(draft, suggestions, focus, kept or {}),
        "matches": _MATCHES,
        "main_starts": [(name, one) for name, one in every if one.order <= _MAIN],
        "more_starts": [(name, one) for name, one in every if one.order > _MAIN],
        "focus": focus,
        "shape_url": url("shape"),
    }


def _rows(group: Draft, suggestions: Suggestions, focus: str, kept: dict[str, Any]) -> list[dict[str, Any]]:
    """What the template draws for each part of a group, with those inside."""
    rows = []
    for index, part in enumerate(group.parts):
        controls = [] if part.is_group else controls_of(part, suggestions)
        begin = focus if focus.endswith("-") else f"{part.path}-" if part.path == focus else ""
        first = (one for one in controls if begin and one.id.startswith(begin) and one.widget != "hidden")
        if (control := next(first, None)) is not None:
            control.has_focus = True
        row = {
            "draft": part,
            "is_first": not index,
            "is_last": index == len(group.parts) - 1,
            "glue": {"all": "and", "any": "or", "none": "nor"}[group.match] if index else "",
            "controls": controls,
            "parts": _rows(part, suggestions, focus, {}) if part.is_group else [],
            "kept": kept.get(part.path),
            "errors": list(dict.fromkeys(message for _, message in part.errors if message)),
            "number": ".".join(
                str(int(step) + 1) for step in part.path.removeprefix(ROOT).split("_") if step
            ),
        }
        rows.append(row)
    return rows


def _posted_segment(request: HttpRequest) -> Segment | None:
    number = request.POST.get("segment", "")
    return find_row(row_id(number) or 0) if number else None


def _suggestions(request: HttpRequest, segment: Segment | None) -> Suggestions:
    vocabulary = Vocabulary(segment_id=segment.pk if segment else None)
    return Suggestions(may_see(request), vocabulary)


# --- Counting ---------------------------------------------------------------------------------------------


def _preview(
    request: HttpRequest, segment: Segment | None, draft: Draft, suggestions: Suggestions
) -> dict[str, Any]:
    """Figures of the rule as it is typed, or what it still lacks."""
    milliseconds = PATIENT_MS if request.POST.get("do") == "patient" else 1_500
    context: dict[str, Any] = {
        "segment": segment,
        "root": draft,
        "preview": True,
        "is_slow": False,
        "incomplete": [],
    }
    try:
        rule = _checked(draft, suggestions)
    except Invalid as error:
        probe = [one for one in error.problems if one["message"]]
        rest = attach(draft, probe) if draft.parts else ["Add a condition to see how many people meet it."]
        context["incomplete"] = [
            *((f"{part.label}: {message}", part.path) for part in draft.walk() for _, message in part.errors),
            *((message, "") for message in rest),
        ]
        for part in draft.walk():
            part.errors.clear()
        return context
    context["words"] = rule.words
    try:
        counted = count_people(rule, milliseconds=milliseconds)
        context |= _counted(request, counted)
        # The same parts in the same order: those that are off are not counted.
        kept = what_keeps_out(rule, milliseconds=milliseconds)
        live = [draft.parts[index] for index, part in enumerate(rule.group.parts) if not part.is_off]
        context["kept"] = {part.path: _kept(one, draft.match) for part, one in zip(live, kept, strict=True)}
        if segment is not None and rule.json != segment.rules:
            context["changes"] = count_changes(rule, segment.pk, milliseconds=milliseconds)
            context["digest"] = _digest(rule)
    except TooSlow:
        context |= {"is_slow": True, "seconds": milliseconds / 1000}
        if segment is not None:
            # It cannot be shown, and saving must not wait for it.
            context["digest"] = _digest(rule)
    return context


def _counted(request: HttpRequest, counted: Counted) -> dict[str, Any]:
    return {"counted": counted, "sample": people(request, counted.sample_ids)}


def _kept(kept: Kept, match: str) -> dict[str, Any]:
    return {
        "passed": kept.passed,
        "alone": kept.alone_out,
        "fails": kept.fails,
        "verb": {"all": "left", "any": "in so far", "none": "left"}[match],
    }
