"""The stub app of ``tests/stub_app`` fills every place to plug in; a place it misses, or one that ignores it, fails here.

What each place does with its entries is tested where the place is (a panel on the card, a filter in the list …).
"""

from __future__ import annotations

import os
import subprocess
import sys

# In a process of its own: an app cannot be taken out again.
OFFERED = """
import sys
import django
django.setup()
from django.urls import reverse
from cdp import celery, job_steps, roles_and_scopes, webhooks
from cdp.admin import navigation
from cdp.admin.site import extra_pages
from cdp.registry import Registry

reverse("admin:index")  # loads every page, and with it every module
ours = [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] in ("cdp", "profiles", "imports", "segments")]
registries = {
    f"{module.__name__}.{name}": value
    for module in ours for name, value in vars(module).items()
    if isinstance(value, Registry)
}
registries |= {f"cdp.admin.navigation[{task}]": tabs for task, tabs in navigation._tabs.items()}
missed = {what for what, registry in registries.items() if "stub" not in registry}
checks = {
    "beat": "stub" in celery.beat_schedule(),
    "topics": "stub.happened" in webhooks.TOPICS,
    "jobs": "stub" in job_steps.handlers,
    "role": "stub.use" in roles_and_scopes.ROLES["marketer"].permissions,
    "scope": "stub.use" in roles_and_scopes.SCOPES["segments"],
    "words": roles_and_scopes.RIGHTS["stub.use"].label == "Use the stub" if "stub.use" in roles_and_scopes.RIGHTS else False,
    "page": "stub/" in {page.route for page in extra_pages},
}
print(len(registries) > 15, sorted(missed), [what for what, holds in checks.items() if not holds])
"""


def offered(settings: str) -> str:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": settings}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OFFERED],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout + done.stderr


def test_a_stub_app_fills_every_place() -> None:
    assert offered("tests.stub_app.settings") == "True [] []\n"
    # Without the app the same check finds every place empty.
    assert "cdp.retention.expiry" in offered("cdp.settings")
