"""A bulk action's name → the form of its confirmation: the fields it draws, and what was typed as the action's raw params.

The admin package of an app registers the form of its action here, under the action's name. An action without one is
confirmed by the number of people alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from cdp.registry import Registry
from profiles.admin.forms import AttributesForm
from profiles.bulk.run_action import Params
from profiles.identity.presets import CONTACTS
from profiles.models import Tag
from profiles.privacy.delete import DeleteReason
from profiles.privacy.restore import preview_restore, remarks_of
from profiles.values.attributes import attribute_specs

_MOST_TAGS = 300
_MOST_REMARKS = 50


def _read_nothing(typed: QueryDict) -> Params:
    return {}


def _preview_nothing(profile_ids: Sequence[int]) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class BulkForm:
    """``template`` draws the fields, or says what will happen, from ``params`` (what was typed), ``count`` (how many
    people) and what ``context()`` and ``preview(profile_ids)`` add. ``read(typed)`` makes of it what ``Action.clean`` takes.
    """

    template: str = ""
    read: Callable[[QueryDict], Params] = _read_nothing
    context: Callable[[], dict[str, Any]] = dict
    preview: Callable[[Sequence[int]], dict[str, Any]] = _preview_nothing


forms: Registry[BulkForm] = Registry("The form of the bulk action")


def form_of(action: str) -> BulkForm:
    return forms[action] if action in forms else BulkForm()


# --- Those of the actions that ship -----------------------------------------------------------------------


def _read_tags(typed: QueryDict) -> Params:
    return {"tags": [name for name in typed.get("tags", "").split(",") if name.strip()]}


def _tag_names(*, are_made: bool) -> dict[str, Any]:
    return {"tag_names": list(Tag.objects.values_list("name", flat=True)[:_MOST_TAGS]), "are_made": are_made}


def _read_attribute(typed: QueryDict) -> Params:
    key, value = typed.get("field", ""), typed.get("value", "")
    specs = attribute_specs()
    if key not in specs:
        return {"field": key, "value": value}
    # The one form over attributes knows how each type is typed.
    return {"field": key, "value": AttributesForm([specs[key]], {key: value}).values()[key]}


def _attributes() -> dict[str, Any]:
    return {"specs": [spec for key, spec in attribute_specs().items() if key not in CONTACTS]}


def _read_reason(typed: QueryDict) -> Params:
    return {"reason": typed.get("reason", ""), "note": typed.get("note", "")}


def _reasons() -> dict[str, Any]:
    return {"reasons": DeleteReason.choices}


def _preview_restore(profile_ids: Sequence[int]) -> dict[str, Any]:
    """How many come back, and of the rest and of taken values the first sentences."""
    would = preview_restore(profile_ids)
    remarks = remarks_of(would)
    return {
        "restorable": would.count,
        "not_restorable": len(would.skipped),
        "kept_values": sum(map(len, would.taken.values())),
        "remarks": remarks[:_MOST_REMARKS],
        "more_remarks": max(0, len(remarks) - _MOST_REMARKS),
    }


_TAGS = "admin/profiles/bulk_tags.html"
forms.register("tag", BulkForm(_TAGS, _read_tags, lambda: _tag_names(are_made=True)))
forms.register("untag", BulkForm(_TAGS, _read_tags, lambda: _tag_names(are_made=False)))
forms.register("set", BulkForm("admin/profiles/bulk_attribute.html", _read_attribute, _attributes))
forms.register("lock", BulkForm("admin/profiles/bulk_lock.html"))
forms.register("unlock", BulkForm("admin/profiles/bulk_unlock.html"))
forms.register("delete", BulkForm("admin/profiles/bulk_delete.html", _read_reason, _reasons))
forms.register("restore", BulkForm("admin/profiles/bulk_restore.html", preview=_preview_restore))
