"""A trace or its origin → the words for how it was written: the call, the file's row and column, the key
and its place.
"""

from __future__ import annotations

from profiles.duplicates.why.findings import ATTRIBUTE, PROPERTY, DisplayValue, ValueOrigin, ValueTrace
from profiles.identity.presets import CONTACTS
from profiles.models import Change
from profiles.values.attributes import CUSTOM


def location_of(trace: ValueTrace) -> str:
    """Where in the call or body the value was: ``traits.email``, ``properties.mail``,
    ``attributes.crm_id``.
    """
    origin = trace.origin
    if trace.stored_as == PROPERTY:
        return trace.location.strip("/").replace("/", ".")
    if origin is None or not origin.is_tracked:
        return trace.location
    if trace.location == "anonymous_id":
        return "anonymousId"
    if origin.user_id and origin.user_id in (trace.raw, trace.value) and trace.stored_as != ATTRIBUTE:
        return "userId"
    if trace.stored_as == ATTRIBUTE or trace.location in CONTACTS:
        return f"traits.{_sent_name(trace)}"
    return "context.externalIds"


def _sent_name(trace: ValueTrace) -> str:
    """The trait's name as it was sent, where its value tells."""
    sent = trace.origin.sent if trace.origin else None
    if isinstance(sent, dict):
        own = trace.location.removeprefix(CUSTOM)
        if own in sent:
            return own
        wanted = {trace.raw, trace.value}
        for name, value in sent.items():
            if isinstance(value, (str, int)) and (str(value) in wanted or str(value).lower() in wanted):
                return str(name)
    return trace.location.removeprefix(CUSTOM)


def column_of(trace: ValueTrace) -> str:
    """The column of the imported file the value came from, or ""."""
    if trace.origin is None:
        return ""
    name = trace.location
    targets = [name, f"identifier.{name}"]
    if name == "customer_id":
        targets.append("reference_id")
    return trace.origin.column_to(*targets)


def describe_trace(trace: ValueTrace) -> str:
    """“update call, traits.email”, “import #3 “people.csv”, row 2, column “Mail” → attributes.mail” …"""
    if trace.origin is None:
        return ""
    return describe_origin(
        trace.origin, location=location_of(trace), column=column_of(trace), to=trace.location
    )


def describe_origin(origin: ValueOrigin, *, location: str = "", column: str = "", to: str = "") -> str:
    if origin.is_tracked:
        call = f"track “{origin.event}”" if origin.call == "track" else f"{origin.call} call"
        return ", ".join(filter(None, (call, location)))
    if origin.import_id is not None and origin.cause == Change.Cause.IMPORT:
        row = f"row {origin.row:,}" if origin.row else ""
        where = f"column “{column}” → {to}" if column else to
        return ", ".join(filter(None, (f"import #{origin.import_id} “{origin.file}”", row, where)))
    author = f"API key “{origin.author}”" if origin.is_key else origin.author or origin.source
    return ", ".join(filter(None, (author, location)))


def displayed(trace: ValueTrace, display: DisplayValue) -> str:
    return display(trace.type, trace.value)


def spelling_note(trace: ValueTrace, display: DisplayValue) -> str:
    """A remark about another spelling; the spelling itself only where it may be displayed."""
    if trace.raw == trace.value or not trace.raw:
        return ""
    written = display(trace.type, trace.raw)
    return f" (written “{written}”)" if written == trace.raw else " (written in another way)"


def describe_source(trace: ValueTrace) -> str:
    """“Shop website (update call, traits.email)”; what is known of it."""
    if trace.origin is None:
        return "an unknown source"
    source, via = trace.origin.source, describe_trace(trace)
    return via if via.startswith(source) else f"{source} ({via})"
