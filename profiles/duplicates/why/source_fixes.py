"""A finding's value and origin → what to change at the source: the exact call or mapping to copy."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

from profiles.duplicates.why.findings import PairHistory, SourceFix, ValueOrigin, ValueTrace
from profiles.duplicates.why.wording import column_of, location_of
from profiles.identity.presets import CUSTOMER, EMAIL, PHONE
from profiles.models import Change, Source
from profiles.values.attributes import CUSTOM

SHELL, SCRIPT, JSON = "shell", "javascript", "json"
# To be replaced by whoever copies the call.
YOUR_ID = "YOUR-CUSTOMER-ID"


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def script(*parts: Any) -> str:
    """One call of the snippet."""
    return f"cdp.push({as_json([*parts])});"


def track_call(history: PairHistory, kind: str, body: dict[str, Any]) -> str:
    """A server's tracking call, for the shell."""
    return (
        f'curl -u "$WRITE_KEY:" -H "Content-Type: application/json" "{history.base_url}/v1/{kind}" \\\n'
        f"  -d {shlex.quote(as_json(body))}"
    )


def api_call(history: PairHistory, method: str, path: str, body: dict[str, Any]) -> str:
    """An API call, for the shell."""
    return (
        f'curl -X {method} -H "Authorization: Bearer $API_KEY" -H "Content-Type: application/json" \\\n'
        f'  "{history.base_url}/api/v1/{path}" -d {shlex.quote(as_json(body))}'
    )


def send_as_identifier(history: PairHistory, trace: ValueTrace, value: str) -> SourceFix:
    """How the value should have been sent, by the channel it came by."""
    origin = trace.origin
    if origin is not None and origin.cause == Change.Cause.IMPORT:
        return _map_column(history, trace, origin)
    if origin is not None and origin.is_tracked:
        return _identify(history, trace, origin, value)
    if origin is not None and (origin.is_key or origin.channel == Source.Channel.API):
        return _write_identifier(history, trace, value)
    return SourceFix(
        f"Add it under Identifiers on the card as {history.label(trace.type)}, not as an attribute: attributes identify"
        " nobody."
    )


def _map_column(history: PairHistory, trace: ValueTrace, origin: ValueOrigin) -> SourceFix:
    column = column_of(trace)
    to = trace.type if trace.type in (EMAIL, PHONE, CUSTOMER) else f"identifier.{trace.type}"
    if not column:
        return SourceFix(
            f"Give the file a column that goes to {to}.",
            JSON,
            as_json({history.label(trace.type): {"to": to}}),
        )
    return SourceFix(
        f"In the mapping of “{origin.file}”, send column “{column}” to {to} instead of {trace.location}.",
        JSON,
        as_json({column: {"to": to}}),
        import_id=origin.import_id,
    )


def _identify(history: PairHistory, trace: ValueTrace, origin: ValueOrigin, value: str) -> SourceFix:
    call = f"{origin.call} “{origin.event}”" if origin.call == "track" else origin.call
    text = f"{location_of(trace)} of {call} identifies nobody. Send it by identify as soon as the person is known."
    if origin.call == "identify":
        text = f"{location_of(trace)} of identify is no identifier. Send it where identify reads one."
    if origin.channel == Source.Channel.WEB and trace.type in (EMAIL, PHONE, CUSTOMER):
        parts = [value] if trace.type == CUSTOMER else [{trace.type: value}]
        return SourceFix(text, SCRIPT, script("identify", *parts))
    return SourceFix(text, SHELL, track_call(history, "identify", identify_body(trace.type, value, origin)))


def keep_ids_out_of_browser_id(history: PairHistory, trace: ValueTrace, value: str) -> SourceFix:
    """The call that names the person, without the id that was sent as the browser's."""
    origin = trace.origin
    text = (
        f"The {history.label(trace.location).lower()} is an id that the snippet or SDK makes itself. Do not put the"
        f" {history.label(trace.type).lower()} there; send it by identify."
    )
    if origin is not None and origin.cause == Change.Cause.IMPORT:
        return _map_column(history, trace, origin)
    if origin is not None and origin.channel == Source.Channel.WEB and trace.type in (EMAIL, PHONE, CUSTOMER):
        parts = [value] if trace.type == CUSTOMER else [{trace.type: value}]
        return SourceFix(text, SCRIPT, script("identify", *parts))
    if origin is not None and (origin.is_tracked or origin.channel == Source.Channel.WEB):
        return SourceFix(text, SHELL, track_call(history, "identify", identify_body(trace.type, value, None)))
    return _write_identifier(history, trace, value)


def identify_body(type_name: str, value: str, origin: ValueOrigin | None) -> dict[str, Any]:
    """The body of an identify call about the same browser or user; one of them it needs."""
    body: dict[str, Any] = {}
    if origin is not None and origin.user_id and type_name != CUSTOMER:
        body["userId"] = origin.user_id
    elif origin is not None and origin.anonymous_id:
        body["anonymousId"] = origin.anonymous_id
    if type_name == CUSTOMER:
        return {**body, "userId": value}
    if type_name in (EMAIL, PHONE):
        return {**(body or {"userId": YOUR_ID}), "traits": {type_name: value}}
    return {**body, "context": {"externalIds": [{"type": type_name, "id": value}]}}


def _write_identifier(history: PairHistory, trace: ValueTrace, value: str) -> SourceFix:
    if trace.type in (EMAIL, PHONE):
        body: dict[str, Any] = {trace.type: value}
        where = f"“{trace.type}”"
    else:
        body = {"identifiers": [{"type": trace.type, "value": value}]}
        where = "“identifiers”"
    name = location_of(trace)
    sender = f"API key “{trace.origin.author}”" if trace.origin and trace.origin.is_key else "the caller"
    text = f"{sender[0].upper()}{sender[1:]} should send it under {where} instead of {name}; ids there identify the person."
    return SourceFix(text, SHELL, api_call(history, "POST", "profiles/?upsert=true", body))


def confirm(history: PairHistory, trace: ValueTrace, value: str) -> SourceFix:
    """The last step of a double opt-in."""
    return SourceFix(
        "The page behind the link in your confirmation mail must say that the address was confirmed, with an API key that has"
        " the scopes profiles:write and merge.",
        SHELL,
        api_call(history, "POST", "identifiers/confirm/", {"type": trace.type, "value": value}),
    )


def let_email_identify(history: PairHistory, origin: ValueOrigin) -> SourceFix:
    return SourceFix(
        f"The source “{origin.source}” is set so that an e-mail identifies nobody. Switch it on if it should.",
        SHELL,
        api_call(history, "PATCH", f"sources/{origin.source_id}/", {"identifies_by_email": True}),
    )


def sign_user_id(trace: ValueTrace, value: str) -> SourceFix:
    return SourceFix(
        "Render context.userHash with the page, so that the userId of the browser counts.",
        SCRIPT,
        script("identify", value, {}, {"userHash": "{{ cdp_user_hash }}"}),
    )


def one_spelling(history: PairHistory, trace: ValueTrace, value: str) -> SourceFix:
    """E-mails used as ids: lower-case them, or send them where case does not matter."""
    origin = trace.origin
    text = (
        f"E-mails are sent as {history.label(trace.location)}, where upper and lower case differ. Send them as traits.email,"
        " where they do not, or always in lower case."
    )
    if origin is not None and origin.cause == Change.Cause.IMPORT and (column := column_of(trace)):
        return SourceFix(text, JSON, as_json({column: {"to": EMAIL}}), import_id=origin.import_id)
    if origin is not None and origin.is_tracked:
        if origin.channel == Source.Channel.WEB:
            return SourceFix(text, SCRIPT, script("identify", {EMAIL: value}))
        # Without the userId it came with, which is the e-mail.
        body = identify_body(EMAIL, value, replace(origin, user_id=""))
        return SourceFix(text, SHELL, track_call(history, "identify", body))
    return SourceFix(text, SHELL, api_call(history, "POST", "profiles/?upsert=true", {EMAIL: value}))


def international_phone(history: PairHistory, trace: ValueTrace, value: str) -> SourceFix:
    """A number with its country code, by the channel it came by."""
    origin = trace.origin
    text = "Send phone numbers with “+” and country code, or set CDP_PHONE_REGION to the country of those without."
    if origin is not None and origin.cause == Change.Cause.IMPORT:
        return SourceFix(
            text, JSON, as_json({column_of(trace) or "Phone": {"to": PHONE}}), import_id=origin.import_id
        )
    if origin is not None and origin.is_tracked:
        if origin.channel == Source.Channel.WEB:
            return SourceFix(text, SCRIPT, script("identify", {PHONE: value}))
        return SourceFix(text, SHELL, track_call(history, "identify", identify_body(PHONE, value, origin)))
    # A phone finds nobody, so the person is named.
    return SourceFix(text, SHELL, api_call(history, "PATCH", f"profiles/{trace.root_id}/", {PHONE: value}))


def stable_id(history: PairHistory, origin: ValueOrigin | None, value: str) -> SourceFix:
    """An id that stays when the e-mail changes, sent with it."""
    text = "Send an id of yours that never changes with every e-mail; then a new e-mail is added to the same person."
    customer_id = YOUR_ID
    if origin is not None and origin.cause == Change.Cause.IMPORT:
        return SourceFix(text, JSON, as_json({"Customer id": {"to": CUSTOMER}}), import_id=origin.import_id)
    if origin is not None and origin.is_tracked:
        if origin.channel == Source.Channel.WEB:
            return SourceFix(text, SCRIPT, script("identify", customer_id, {EMAIL: value}))
        return SourceFix(
            text, SHELL, track_call(history, "identify", {"userId": customer_id, "traits": {EMAIL: value}})
        )
    body = {EMAIL: value, "identifiers": [{"type": CUSTOMER, "value": customer_id}]}
    return SourceFix(text, SHELL, api_call(history, "POST", "profiles/?upsert=true", body))


def identify_visitor(history: PairHistory, origin: ValueOrigin | None) -> SourceFix:
    """Call identify when somebody logs in, orders or signs up."""
    text = "Call identify when they log in, order or sign up: then all their browsers belong to one person."
    customer_id, email = YOUR_ID, {EMAIL: "their@e-mail.example"}
    if origin is not None and origin.is_tracked and origin.channel != Source.Channel.WEB:
        browser = {"anonymousId": origin.anonymous_id} if origin.anonymous_id else {}
        body = {**browser, "userId": customer_id, "traits": email}
        return SourceFix(text, SHELL, track_call(history, "identify", body))
    return SourceFix(text, SCRIPT, script("identify", customer_id, email))


def reset_on_logout(origin_source: str) -> SourceFix:
    where = f" on {origin_source}" if origin_source else ""
    return SourceFix(
        f"Call reset when somebody logs out{where}, so that the next person gets a browser id of their own.",
        SCRIPT,
        script("reset"),
    )


def map_identifier(origin: ValueOrigin) -> SourceFix:
    """An import without an identifier column."""
    columns = [
        column
        for column, entry in origin.mapping.items()
        if isinstance(entry, dict) and str(entry.get("to", "")).startswith(CUSTOM)
    ]
    text = f"Map a column of “{origin.file}” to email or customer_id; rows without one create a new profile each time."
    return SourceFix(
        text, JSON, as_json({columns[0] if columns else "E-mail": {"to": EMAIL}}), import_id=origin.import_id
    )


def name_somebody(history: PairHistory) -> SourceFix:
    """For callers of the API and staff who create profiles without an identifier."""
    body = {EMAIL: "their@e-mail.example", "identifiers": [{"type": CUSTOMER, "value": YOUR_ID}]}
    return SourceFix(
        "Name an e-mail or a customer_id when somebody is added; without one every call creates a new profile.",
        SHELL,
        api_call(history, "POST", "profiles/?upsert=true", body),
    )


def one_id(history: PairHistory, trace: ValueTrace) -> SourceFix:
    """One value came with two ids."""
    origin = trace.origin
    where = (
        f"{location_of(trace)} of {origin.call}"
        if origin is not None and origin.is_tracked
        else trace.location
    )
    return SourceFix(
        f"{where} came with two ids. Let the system it comes from give one person one id, and send the id with every"
        f" {history.label(trace.type).lower()}."
    )
