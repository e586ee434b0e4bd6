"""A part of the access file → the same part for who may not see personal data: identifying values masked by class.

What stands under a key that is not known to identify nobody is masked, so a new part of the file leaks nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from cdp.personal_data_registry import PrivacyClass, tables
from profiles import masking
from profiles.masking import DOTS
from profiles.values.attributes import AttributeSpec

# The file's own words, where they are no column's name.
_WORDS = frozenset(
    "added_at belongs_to by calls cause decided_at decided_by decision did field first_at first_set_at found_at found_by from"
    " how_sure into kind label last_at last_set_at leads_to_this_person likelihood_in_bits locked_against_merging means"
    " merged_at merged_by name outcome people_it_led_to profile_id reachable recorded_by rules sent_at sent_by set_by source"
    " started_at superseded_by tag times type undone_at undone_by until verified waits_for_confirmation what why written_at"
    " written_by".split()
)
_SENT = frozenset({"properties", "context", "rest_of_the_call", "payload", "item"})
_VALUES = frozenset({"values", "values_before", "values_after"})


class ExportMask:
    """Masks the rows of one file; reads the declared classes once."""

    def __init__(self, specs: Mapping[str, AttributeSpec]) -> None:
        self._specs = dict(specs)
        classes = [(name, kind) for table in tables().values() for name, kind in table.classes().items()]
        identifying = {name for name, kind in classes if kind is PrivacyClass.IDENTIFYING}
        self._public = ({name for name, _ in classes} | _WORDS) - identifying

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {key: self._value(key, value, row) for key, value in row.items()}

    def _value(self, key: str, value: Any, row: Mapping[str, Any]) -> Any:
        if value is None or value == "" or isinstance(value, bool):
            return value
        if key in _SENT:
            return masking.mask_json(value)
        if key == "text" and isinstance(value, str):
            return masking.mask_note(value)
        if key in _VALUES and isinstance(value, Mapping):
            return {name: self._field(name, inner) for name, inner in value.items()}
        if key == "changes" and isinstance(value, Mapping):
            return {name: self._field(name, inner) for name, inner in value.items()}
        if key in ("value", "reads", "as_sent"):
            return self._of_row(value, row)
        if isinstance(value, Mapping):
            return self.row(value)
        if isinstance(value, list | tuple):
            return [self._value(key, inner, row) for inner in value]
        if key in self._public or isinstance(value, datetime.datetime):
            return value
        return DOTS

    def _field(self, name: str, value: Any) -> Any:
        """A value of an attribute, or the values it had before and after."""
        if isinstance(value, list | tuple):
            return [masking.mask(name, side, self._specs) for side in value]
        return masking.mask(name, value, self._specs)

    def _of_row(self, value: Any, row: Mapping[str, Any]) -> Any:
        """Under ``value`` stands what the row's ``name``, ``field`` or ``type`` says."""
        name = row.get("name") or row.get("field")
        if isinstance(name, str):
            return masking.mask(name, value, self._specs)
        return masking.mask_identifier(str(row.get("type", "")), str(value))
