"""How something was written, in words: the call, the file's row and column, the key and its place."""

from __future__ import annotations

from profiles.duplicates.why.findings import ATTRIBUTE, PROPERTY, Origin, See, Trace
from profiles.models import Change
from profiles.values.attributes import CUSTOM


def place_of(trace: Trace) -> str:
    """Where in the call or body it stood: ``traits.email``, ``properties.mail``, ``attributes.crm_id``."""
    origin = trace.origin
    if trace.stored_as == PROPERTY:
        return trace.place.strip("/").replace("/", ".")
    if origin is None or not origin.is_tracked:
        return trace.place
    if trace.place == "anonymous_id":
        return "anonymousId"
    if origin.user_id and origin.user_id in (trace.raw, trace.value) and trace.stored_as != ATTRIBUTE:
        return "userId"
    if trace.stored_as == ATTRIBUTE or trace.place in ("email", "phone"):
        return f"traits.{_sent_name(trace)}"
    return "context.externalIds"


def _sent_name(trace: Trace) -> str:
    """The trait's name as it was sent, where that can be told by its value."""
    sent = trace.origin.sent if trace.origin else None
    if isinstance(sent, dict):
        own = trace.place.removeprefix(CUSTOM)
        if own in sent:
            return own
        wanted = {trace.raw, trace.value}
        for name, value in sent.items():
            if isinstance(value, (str, int)) and (str(value) in wanted or str(value).lower() in wanted):
                return str(name)
    return trace.place.removeprefix(CUSTOM)


def column_of(trace: Trace) -> str:
    """The column of the imported file the value came from, or ""."""
    if trace.origin is None:
        return ""
    name = trace.place
    targets = [name, f"identifier.{name}"]
    if name == "customer_id":
        targets.append("reference_id")
    return trace.origin.column_to(*targets)


def via_of(trace: Trace) -> str:
    """“update call, traits.email”, “import #3 “people.csv”, row 2, column “Mail” → attributes.mail” …"""
    if trace.origin is None:
        return ""
    return way_of(trace.origin, place=place_of(trace), column=column_of(trace), to=trace.place)


def way_of(origin: Origin, *, place: str = "", column: str = "", to: str = "") -> str:
    if origin.is_tracked:
        call = f"track “{origin.event}”" if origin.call == "track" else f"{origin.call} call"
        return ", ".join(filter(None, (call, place)))
    if origin.import_id is not None and origin.cause == Change.Cause.IMPORT:
        row = f"row {origin.line:,}" if origin.line else ""
        where = f"column “{column}” → {to}" if column else to
        return ", ".join(filter(None, (f"import #{origin.import_id} “{origin.file}”", row, where)))
    who = f"API key “{origin.who}”" if origin.is_key else origin.who or origin.source
    return ", ".join(filter(None, (who, place)))


def shown(trace: Trace, see: See) -> str:
    return see(trace.type, trace.value)


def spelled(trace: Trace, see: See) -> str:
    """A remark about another spelling, for who may see it."""
    if trace.raw == trace.value or not trace.raw:
        return ""
    written = see(trace.type, trace.raw)
    return f" (written “{written}”)" if written == trace.raw else " (written in another way)"


def by_whom(trace: Trace) -> str:
    """“Shop website (update call, traits.email)”; what is known of it."""
    if trace.origin is None:
        return "an unknown source"
    source, via = trace.origin.source, via_of(trace)
    return via if via.startswith(source) else f"{source} ({via})"
