"""What a fix offers to copy → sent where whoever copies it would send it: the API, the tracking API, the mapping of a file."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from django.test import Client

from cdp.actors import Actor
from cdp.api.keys import create_key as create_api_key
from cdp.roles_and_scopes import SCOPES
from profiles.duplicates.why import SourceFix
from profiles.models import Source, WriteKey
from profiles.tracking.sources.sources import create_key
from profiles.tracking.sources.user_hash import sign_user
from tests.api.caller import Caller
from tests.imports.files import applied

HASH = "{{ cdp_user_hash }}"


def write_key(source_name: str, kind: str) -> str:
    source = Source.objects.get(name=source_name)
    return create_key(source_id=source.pk, kind=kind, actor=Actor.system()).write_key


def send(fix: SourceFix, *, source: str, file: str = "", mapping: dict[str, Any] | None = None) -> None:
    """Carry out what is copied, as it stands; fails when it is refused, or something of it is left out.

    ``source`` is who has to send it; ``file`` is sent again where a mapping is copied, with ``mapping`` as it was.
    """
    assert fix.code
    if fix.language == "shell":
        _shell(fix.code, source)
    elif fix.language == "javascript":
        _script(fix.code, source)
    else:
        assert fix.language == "json"
        import_ = applied(file, name="again.csv", mapping={**(mapping or {}), **json.loads(fix.code)})
        assert (import_.state, import_.counts["failed"]) == ("done", 0), import_.counts


def _shell(code: str, source: str) -> None:
    words = shlex.split(code.replace("\\\n", " "))
    assert words.pop(0) == "curl"
    options = {flag: words[words.index(flag) + 1] for flag in ("-X", "-u", "-d") if flag in words}
    (address,) = [word for word in words if word.startswith("http://")]
    path = re.sub(r"^http://[^/]+", "", address)
    if path.startswith("/api/"):
        key = Caller(create_api_key(name="copied", scopes=list(SCOPES), actor=Actor.system()))
        answer = key.send(options.get("-X", "POST"), path, json.loads(options["-d"]))
        assert answer.status_code in (200, 201), answer.data
        return
    assert options["-u"] == "$WRITE_KEY:"
    _track(path, json.loads(options["-d"]), write_key(source, WriteKey.Kind.SERVER))


def _script(code: str, source: str) -> None:
    """As the snippet makes calls of it."""
    found = re.fullmatch(r"cdp\.push\((\[.*\])\);", code)
    assert found is not None, code
    call, *parts = json.loads(found[1])
    if call == "reset":
        return
    assert call == "identify"
    user_id = parts.pop(0) if isinstance(parts[0], str) else None
    traits, options = [*parts, {}, {}][:2]
    body: dict[str, Any] = {"anonymousId": "b-copied", "traits": traits, "context": options}
    if user_id is not None:
        body["userId"] = user_id
        if options.get("userHash") == HASH:
            options["userHash"] = sign_user(Source.objects.get(name=source), user_id)
    _track("/v1/identify", body, write_key(source, WriteKey.Kind.WEB))


def _track(path: str, body: dict[str, Any], key: str) -> None:
    answer = Client(headers={"X-Write-Key": key}).post(
        f"{path}?verbose=1", json.dumps(body), content_type="application/json"
    )
    assert (answer.status_code, answer.json().get("rejected")) == (200, 0), answer.content
