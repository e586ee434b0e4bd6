"""Whose right counts where there is no address: jobs, actions on many, files, mails, saved answers, ticks, sockets.

Each kind is found where it is registered or called, so that a new one fails here until somebody wrote down who may.
(Addresses are in tests/rights.json; what happens to a job whose starter loses the right is in tests/test_job_owners.py.)
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.celery import beat_schedule
from cdp.job_steps import handlers
from cdp.models import IdempotencyKey
from profiles.bulk.run_action import actions
from tests.api.caller import Caller
from tests.profile_factory import make_profile
from tests.test_job_owners import OF_THE_SYSTEM, STARTED

ROOT = Path(settings.BASE_DIR)

# The right a job asks for before every chunk, of whoever started it.
JOBS = {
    "audit.verify": "cdp.view_auditentry",
    "duplicates.scan": "profiles.scan_duplicates",
    "identity.recheck": "profiles.change_identifiertype",
    "import.apply": "imports.add_import",
    "import.plan": "imports.add_import",
    "merges.apply": "profiles.bulk_merge",
    "merges.preview": "profiles.bulk_merge",
    "merges.undo": "profiles.bulk_merge",
    "profiles.bulk": "profiles.bulk_update",
    "profiles.export": "profiles.bulk_export",
    "receipts.resolve": "profiles.replay_receipt",
    "segments.preview": "segments.view_segment",
}
# The right of an action on many, for the page, the verb and each chunk of its job.
ACTIONS = {
    "tag": "profiles.bulk_update",
    "untag": "profiles.bulk_update",
    "set": "profiles.bulk_update",
    "lock": "profiles.bulk_update",
    "unlock": "profiles.bulk_update",
    "delete": "profiles.bulk_delete",
    "restore": "profiles.bulk_restore",
    "segment": "segments.change_segment",
}
# Modules that send files to somebody, and who gets them: asked when the file is fetched, not when it was made.
FILES = {
    "imports/admin/files.py": "view_import; values of people need view_pii, or to be the uploader",
    "imports/api/views.py": "view_import; values of people need view_pii, or to be the uploader",
    "profiles/admin/card_actions.py": "export_profile and view_pii",
    "profiles/admin/exports.py": "bulk_export, and to have started it; view_pii for one with personal data",
    "profiles/admin/merge_batches.py": "view_merge; profile ids and reasons alone",
    "profiles/api/exports.py": "bulk_export, and to have started it; view_pii for one with personal data",
    "profiles/api/privacy.py": "export_profile and view_pii",
}
# Modules that queue mails, and who gets them.
MAILS = {
    "cdp/accounts.py": "the login a link to set a password is for; emptied once it is sent",
    "cdp/notices.py": "the login that something happened to, and its former address",
    "imports/finish.py": "whoever uploaded the file; counts alone",
    "profiles/bulk/exports.py": "whoever started the export; a link that asks for the login",
    "profiles/consent/messaging.py": "the person, of whoever may send messages, with their consent",
    "profiles/quality/alarms.py": "addresses an admin listed; names of sources and counts",
    "profiles/quality/weekly_report.py": "addresses an admin listed; counts alone",
    "segments/membership/live_rules.py": "the owner of a segment; its name, and what its rule names that is gone",
}


def callers(*names: str) -> Iterator[str]:
    """The modules that call a function of one of these names."""
    for app in ("cdp", "profiles", "segments", "imports"):
        for path in sorted((ROOT / app).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    called = node.func
                    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                    if name in names:
                        yield str(path.relative_to(ROOT))


def test_every_kind_of_job_has_its_right() -> None:
    assert sorted([*JOBS, *OF_THE_SYSTEM]) == sorted(
        kind for kind in handlers if not kind.startswith("test.")
    )


@pytest.mark.django_db
@pytest.mark.parametrize("kind", JOBS)
def test_a_job_asks_for_its_right(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from profiles.bulk import run_action
    from profiles.merging.batches import preview

    for module in (run_action, preview):
        monkeypatch.setattr(module, "INLINE", 1)
    assert STARTED[kind](Actor.system()).permission == JOBS[kind]


def test_every_action_on_many_has_its_right() -> None:
    assert {name: action.permission for name, action in actions.items()} == ACTIONS


def test_every_module_that_sends_files_says_who_gets_them() -> None:
    assert set(callers("FileResponse", "StreamingHttpResponse")) == set(FILES)


def test_every_module_that_queues_mails_says_who_gets_them() -> None:
    assert set(callers("queue_mail")) == set(MAILS)


def test_ticks_work_as_the_system_and_start_nothing_of_anybody() -> None:
    """Beat sends no arguments: a message in the broker cannot name somebody whose rights it would use."""
    assert all("args" not in entry and "kwargs" not in entry for entry in beat_schedule().values())


@pytest.mark.django_db
def test_a_saved_answer_is_its_callers_alone() -> None:
    """The same Idempotency-Key of another key is another call, and no way to read the first one's answer."""
    ann = make_profile(first_name="Ann", email="ann@example.com")
    first, other = (
        Caller(create_key(name=name, scopes=scopes, actor=Actor.system()))
        for name, scopes in (("first", ["profiles:write", "pii"]), ("other", ["exports"]))
    )
    path, body = f"profiles/{ann.pk}/", {"city": "Oslo"}
    sent = {"Idempotency-Key": "one"}
    answered = first.send("PATCH", path, body, **sent)
    assert (answered.status_code, answered.data["email"]) == (200, "ann@example.com")
    assert first.send("PATCH", path, body, **sent)["Idempotent-Replayed"] == "true"
    refused = other.send("PATCH", path, body, **sent)
    assert refused.status_code == 403
    assert "ann@example.com" not in refused.content.decode()
    assert IdempotencyKey.objects.count() == 1


@pytest.mark.django_db
def test_a_key_that_was_revoked_reads_no_saved_answer() -> None:
    from django.utils import timezone

    from cdp.models import ApiKey

    key = create_key(name="first", scopes=["profiles:write"], actor=Actor.system())
    caller, sent = Caller(key), {"Idempotency-Key": "one"}
    assert caller.send("POST", "profiles/", {"first_name": "Ann"}, **sent).status_code == 201
    ApiKey.objects.filter(pk=key.key.pk).update(revoked_at=timezone.now())
    assert caller.send("POST", "profiles/", {"first_name": "Ann"}, **sent).status_code == 401


def test_there_are_no_sockets() -> None:
    """Pages ask again by HTTP; a server that kept connections open would need a right of its own here."""
    assert getattr(settings, "ASGI_APPLICATION", None) is None
    assert set(callers("AsyncConsumer", "WebsocketConsumer", "websocket_urlpatterns")) == set()
    assert not (ROOT / "cdp" / "asgi.py").exists()
