"""A rule while it is written: JSON ↔ a tree of drafts ↔ the inputs of the builder's form, and what its buttons do to the tree.

A draft may be incomplete or wrong; ``parse_rule`` judges its JSON, and ``attach`` brings each problem to the part it is about.
Parts are named by their place: ``c`` is the outermost group, ``c0`` its first part, ``c0_2`` the third part of that one.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from segments.conditions.base import Condition, Start
from segments.form.fields import Control, Field, Posted
from segments.form.suggestions import Suggestions
from segments.kind_forms import form_of, starts_of
from segments.rules.parse import DEEPEST, known_kinds
from segments.rules.tree import GROUPS, VERSION

ROOT = "c"
GROUP = "group"
_NODE = re.compile(r"(c[0-9_]{0,60})--is")
_MOST_NODES = 400


@dataclass(slots=True)
class Draft:
    """One part. Of a group ``match`` and ``parts`` count, of a condition ``raw``; one of a kind without a form is ``text``."""

    kind: str
    raw: dict[str, Any] = field(default_factory=dict)
    match: str = "all"
    parts: list[Draft] = field(default_factory=list)
    is_not: bool = False
    is_off: bool = False
    text: str = ""
    path: str = ROOT
    pointer: str = ""
    errors: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_group(self) -> bool:
        return self.kind == GROUP

    @property
    def condition(self) -> type[Condition] | None:
        return known_kinds().get(self.kind)

    @property
    def form(self) -> Sequence[Field]:
        """Its fields; none where it is written as JSON."""
        return form_of(self.kind, self.condition)

    @property
    def label(self) -> str:
        if self.is_group:
            return "Group"
        return self.condition.label if self.condition else "Unknown condition"

    def walk(self) -> Iterator[Draft]:
        yield self
        for part in self.parts:
            yield from part.walk()


# --- JSON -------------------------------------------------------------------------------------------------


def draft_of(rules: Any) -> Draft:
    """The draft of a stored rule, or of none. What it names may be gone."""
    root = _draft(rules if isinstance(rules, dict) else {}, 0)
    if not root.is_group:
        root = Draft(GROUP, parts=[root] if root.raw else [])
    return place(root)


def _draft(raw: dict[str, Any], depth: int) -> Draft:
    rest = {key: value for key, value in raw.items() if key not in ("off", "version")}
    is_off, is_not = raw.get("off") is True, False
    while set(rest) == {"not"} and isinstance(rest["not"], dict):
        is_not = not is_not
        is_off = is_off or rest["not"].get("off") is True
        rest = {key: value for key, value in rest["not"].items() if key != "off"}
    for match in GROUPS:
        if isinstance(rest.get(match), list) and depth <= DEEPEST:
            parts = [_draft(part, depth + 1) for part in rest[match] if isinstance(part, dict)]
            return Draft(GROUP, match=match, parts=parts, is_not=is_not, is_off=is_off)
    kind = next((key for key in known_kinds() if key in rest), "")
    made = Draft(kind, rest, is_not=is_not, is_off=is_off)
    if not made.form:
        made.text = orjson.dumps(rest).decode()
    return made


def rule_json(root: Draft) -> dict[str, Any]:
    """The whole rule; notes in each part where it stands in it."""
    return {"version": VERSION, **_json(root, "")}


def _json(draft: Draft, pointer: str) -> dict[str, Any]:
    draft.pointer = pointer + ("/not" if draft.is_not else "")
    if draft.is_group:
        at = f"{draft.pointer}/{draft.match}"
        inner: dict[str, Any] = {
            draft.match: [_json(part, f"{at}/{index}") for index, part in enumerate(draft.parts)]
        }
    else:
        inner = dict(draft.raw)
    if draft.is_not:
        inner = {"not": inner}
    return {**inner, "off": True} if draft.is_off else inner


def place(root: Draft) -> Draft:
    """Names each part by its place."""
    _place(root, ROOT)
    return root


def _place(draft: Draft, path: str) -> None:
    draft.path = path
    for index, part in enumerate(draft.parts):
        _place(part, f"{path}{index}" if path == ROOT else f"{path}_{index}")


# --- The form -----------------------------------------------------------------------------------------------


def read_draft(values: Mapping[str, str], suggestions: Suggestions) -> Draft:
    """What was posted. Raises nothing: what cannot be read is missing, or stays as text."""
    paths = [match[1] for name in values if (match := _NODE.fullmatch(name))][:_MOST_NODES]
    drafts = {path: _posted(path, values, suggestions) for path in paths}
    root = drafts.get(ROOT) or Draft(GROUP)
    for path in sorted(drafts, key=_order):
        parent = _parent(path)
        if path != ROOT and parent in drafts and drafts[parent].is_group:
            drafts[parent].parts.append(drafts[path])
    return place(root)


def _order(path: str) -> list[int]:
    return [int(step) for step in path.removeprefix(ROOT).split("_") if step]


def _parent(path: str) -> str:
    head, separator, _ = path.rpartition("_")
    return head if separator else ROOT


def _posted(path: str, values: Mapping[str, str], suggestions: Suggestions) -> Draft:
    posted = Posted(values, f"{path}-")
    kind = posted.get("-is")
    flags: dict[str, Any] = {
        "is_not": bool(posted.get("-not")),
        "is_off": bool(posted.get("-off")),
        "path": path,
    }
    if kind == GROUP or path == ROOT:
        match = posted.get("-match")
        return Draft(GROUP, match=match if match in GROUPS else "all", **flags)
    made = Draft(kind, **flags)
    if made.form:
        for one in made.form:
            one.read(posted, made.raw, suggestions)
        return made
    made.text = posted.get("-json").strip()
    try:
        read = orjson.loads(made.text)
    except orjson.JSONDecodeError as error:
        made.errors.append(("json", f"This is no JSON: {error}."))
        read = {}
    made.raw = read if isinstance(read, dict) else {}
    if not made.raw and not made.errors:
        made.errors.append(("json", "Write this condition as a JSON object, like {“tag”: “vip”}."))
    return made


def controls_of(draft: Draft, suggestions: Suggestions) -> list[Control]:
    """The inputs of a condition, with their ids and what is wrong with them."""
    if not draft.form:
        text = draft.text or orjson.dumps(draft.raw).decode()
        controls = [Control("-json", f"{draft.label}, as JSON", "area", text, key="json", is_wide=True)]
    else:
        controls = [control for one in draft.form for control in one.controls(draft.raw, suggestions)]
    wrong = {key for key, _ in draft.errors}
    for control in controls:
        control.name = f"{draft.path}-{control.name}"
        control.id = control.name
        control.is_wrong = bool(control.key) and control.key in wrong
        if control.widget == "button":
            control.value = f"{control.value}:{draft.path}"
    return controls


def attach(root: Draft, problems: Iterable[Mapping[str, Any]]) -> list[str]:
    """Put each problem of the rule at its part; the sentences of those of no part."""
    parts = list(root.walk())
    rest = []
    for one in problems:
        field_name = str(one["field"])
        pointer = "" if field_name == "/" else field_name
        owners = [part for part in parts if f"{pointer}/".startswith(f"{part.pointer}/")]
        owner = max(owners, key=lambda part: len(part.pointer), default=None)
        if owner is None or owner.path == ROOT:
            rest.append(str(one["message"]))
            continue
        key = pointer[len(owner.pointer) :].strip("/").partition("/")[0]
        owner.errors.append((key, str(one["message"])))
    return rest


# --- Buttons ------------------------------------------------------------------------------------------------


def starts() -> list[tuple[str, Start]]:
    """What can be added: ``(name, start)``, the most used first."""
    found = []
    for key, kind in known_kinds().items():
        found += [(f"{key}.{index}", one) for index, one in enumerate(starts_of(key, kind))]
    return sorted(found, key=lambda item: item[1].order)


def apply(root: Draft, action: str) -> str:
    """Do what a button says, ``add:event.0:c0``; the path of the part, or the id of the input, that gets the focus."""
    verb, *rest = action.split(":")
    path = rest[-1] if rest else ROOT
    drafts = {draft.path: draft for draft in root.walk()}
    draft = drafts.get(path)
    if draft is None:
        return ""
    if verb == "add" and draft.is_group and len(rest) == 2:
        return _add(root, draft, rest[0])
    if verb in ("more", "drop"):
        return _change_rows(draft, verb, rest)
    if path == ROOT:
        return ""
    return _move(root, drafts[_parent(path)], draft, verb)


def _add(root: Draft, group: Draft, name: str) -> str:
    if name == GROUP:
        made = Draft(GROUP, match="any")
    else:
        start = dict(starts()).get(name)
        if start is None:
            return ""
        made = Draft(name.partition(".")[0], copy.deepcopy(start.raw))
        if not made.form:
            made.text = orjson.dumps(made.raw).decode()
    group.parts.append(made)
    place(root)
    return made.path


def _change_rows(draft: Draft, verb: str, rest: list[str]) -> str:
    """Add or remove an entry of a list inside a condition: a filter on a property."""
    *outer, key = rest[0].split(".")
    inside: Any = draft.raw
    for name in outer:
        if isinstance(inside, list):
            inside = inside[int(name)] if name.isdigit() and int(name) < len(inside) else None
        else:
            inside = inside.get(name) if isinstance(inside, dict) else None
    rows = inside.setdefault(key, []) if isinstance(inside, dict) else None
    if not isinstance(rows, list):
        return draft.path
    if verb == "more":
        rows.append({})
        return "-".join([draft.path, *_input_names(rest[0])]) + f"{len(rows) - 1}-"
    if len(rest) > 2 and rest[1].isdigit() and int(rest[1]) < len(rows):
        rows.pop(int(rest[1]))
        if not rows:
            del inside[key]
    return draft.path


def _input_names(place: str) -> list[str]:
    """``sequence.0.where`` → the parts of the names of its inputs: ``sequence0``, ``where``."""
    names: list[str] = []
    for name in place.split("."):
        if name.isdigit() and names:
            names[-1] += name
        else:
            names.append(name)
    return names


def _move(root: Draft, parent: Draft, draft: Draft, verb: str) -> str:
    parts, at = parent.parts, parent.parts.index(draft)
    focus = draft
    if verb == "remove":
        parts.pop(at)
        focus = parts[min(at, len(parts) - 1)] if parts else parent
    elif verb == "copy":
        focus = copy.deepcopy(draft)
        parts.insert(at + 1, focus)
    elif verb in ("up", "down"):
        to = at + (1 if verb == "down" else -1)
        if 0 <= to < len(parts):
            parts[at], parts[to] = parts[to], parts[at]
    elif verb == "not":
        draft.is_not = not draft.is_not
    elif verb == "off":
        draft.is_off = not draft.is_off
    elif verb == "wrap":
        parts[at] = Draft(GROUP, match="any", parts=[draft])
    elif verb == "unwrap" and draft.is_group:
        parts[at : at + 1] = draft.parts
        focus = draft.parts[0] if draft.parts else parent
    place(root)
    return focus.path
