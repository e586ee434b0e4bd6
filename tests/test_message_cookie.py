"""Every cookie of the product carries the prefix that keeps other hosts from setting it, is Secure and out of scripts' reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from cdp.local.paths import PROJECT

SET_ALL = """
import json, django
django.setup()
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils.module_loading import import_string
request = RequestFactory().get("/")
request.session = {}
request._messages = import_string(settings.MESSAGE_STORAGE)(request)
messages.success(request, "Saved.")
response = HttpResponse()
request._messages.update(response)
flags = ("path", "domain", "secure", "httponly", "samesite")
cookies = {name: [cookie[flag] for flag in flags] for name, cookie in response.cookies.items()}
for kind in ("SESSION", "CSRF"):
    of = lambda flag: getattr(settings, f"{kind}_COOKIE_{flag.upper()}")
    cookies[of("name")] = [of(flag) or "" for flag in flags]
print(json.dumps(cookies))
"""


def cookies_of(https: str, folder: Path) -> dict[str, list[object]]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    env |= {
        "HTTPS": https,
        "SECRET_KEY": "a-key-of-this-test",
        "CDP_DATA": str(folder),
        "DJANGO_SETTINGS_MODULE": "cdp.settings",
    }
    done = subprocess.run(
        [sys.executable, "-c", SET_ALL], env=env, cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[object]] = json.loads(done.stdout)
    return found


def test_cookies_belong_to_this_host_alone(tmp_path: Path) -> None:
    safe = ["/", "", True, True, "Lax"]
    assert cookies_of("1", tmp_path) == {
        "__Host-messages": safe,
        "__Host-sessionid": safe,
        "__Host-csrftoken": safe,
    }
    # On a developer's own machine there is no HTTPS, and browsers would refuse the prefix.
    assert set(cookies_of("0", tmp_path)) == {"messages", "sessionid", "csrftoken"}
    assert settings.MESSAGE_STORAGE == "cdp.message_cookie.MessageStorage"
