"""docs/threat-model.md: every number in it is the code's, and every test it names exists.

A number that no row below gives fails, so that none is written without being held against the code.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import Group

from cdp import (
    accounts,
    connections,
    http_client,
    http_requests,
    jobs,
    lockout,
    ttl_cache,
    web_worker,
    webhooks,
)
from cdp.admin import account
from cdp.api import pagination, throttling
from imports.files import dialect
from profiles.bulk import exports
from profiles.merging.batches import freeze, pair_file
from profiles.tracking.http import batch, body
from profiles.tracking.parse import sanitize
from tests.doc_references import missing

DOCUMENT = Path(settings.BASE_DIR) / "docs" / "threat-model.md"
KIB, MIB, GIB = 1024, 1024**2, 1024**3

# Words of the document, with their numbers taken from the code. Longer ones before those they contain.
FACTS = (
    f"{settings.AXES_FAILURE_LIMIT} wrong ones in a row lock a login at an address",
    f"{settings.CDP_LOCKOUT_ADDRESS_FAILURES} an address",
    f"{settings.CDP_LOCKOUT_LOGIN_FAILURES} a login from everywhere",
    f"used in the last {lockout.USUAL_DAYS} days",
    f"for {settings.AXES_COOLOFF_TIME // timedelta(minutes=1)} minutes each",
    f"{accounts.LINKS_AN_HOUR} links an hour for a login",
    f"{account.ASKED_PER_MINUTE} forms a minute from an address",
    f"{throttling.STRANGERS_PER_MINUTE} calls a minute from an address",
    f"has {connections.SECONDS:g} seconds and one more for each {connections.BYTES_PER_SECOND // KIB} KiB",
    f"{connections.PER_ADDRESS} unfinished requests of an address",
    f"{web_worker.CONNECTIONS:,} connections in a process",
    f"{(http_requests.KEPT - 1) // MIB} MiB of a body are kept and {http_requests.MAX_READ // MIB} MiB read at most",
    f"a value of {settings.CDP_BREAKER_PEOPLE} people",
    f"the breaker of {settings.CDP_BREAKER_PEOPLE} people",
    f"{settings.TRACK_RATE_PER_MINUTE:,} calls a minute and key, {batch.MAX_ITEMS:,} items a call,"
    f" {batch.MAX_ITEM_BYTES // KIB} KiB an item, {body.MAX_BYTES // MIB} MiB unpacked, {sanitize.MAX_DEPTH} levels",
    f"obeyed within {ttl_cache.SECONDS:g} seconds",
    f"at {settings.API_RATE_PER_MINUTE:,} calls a minute and {pagination.MAX_PAGE_SIZE} people a page",
    f"ends after {settings.SESSION_COOKIE_AGE // 3600} hours, after {settings.CDP_SESSION_IDLE_MINUTES // 60} hours without use",
    f"asked for again after {settings.CDP_CONFIRM_MINUTES} minutes",
    f"file gone after {exports.KEPT_DAYS} days",
    f"kept {settings.CDP_LOOK_KEEP_DAYS} days",
    f"mode {settings.FILE_UPLOAD_PERMISSIONS:04o} in folders of mode {settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS:04o}",
    f"good for {settings.PASSWORD_RESET_TIMEOUT // 3600} hours",
    f"imports for {settings.CDP_IMPORT_KEEP_DAYS} days and exports for {exports.KEPT_DAYS} days",
    f"{settings.CDP_IMPORT_MAX_BYTES // GIB} GiB, lines of {dialect.MAX_LINE // MIB} MiB, {dialect.MAX_COLUMNS} columns, cells of"
    f" {dialect.MAX_CELL:,} characters, quotes over {dialect.MAX_QUOTED_LINES} lines",
    f"fails after {jobs.MAX_ATTEMPTS} tries",
    f"{pair_file.MAX_BYTES // MIB} MiB, {freeze.LIMIT:,} pairs",
    f"{http_client.TOTAL_SECONDS:g} seconds, then {webhooks.MAX_ATTEMPTS} tries over two days",
)
# What keys are made of is tested with the other secrets (tests/test_asvs.py); the algorithm is a name.
NAMES = ("192 or 256 random bits", "PBKDF2")


def text() -> str:
    return " ".join(DOCUMENT.read_text().split())


def test_every_number_is_the_code_s() -> None:
    written = text()
    assert [fact for fact in FACTS if fact not in written] == []
    rest = re.sub(r"`[^`]*`|\]\([^)]*\)", "", written)
    for known in (*FACTS, *NAMES):
        rest = rest.replace(known, "")
    assert re.findall(r".{0,40}\d[\d.,]*.{0,20}", rest) == []


def test_two_days_of_tries() -> None:
    assert timedelta(days=1.5) < timedelta(seconds=sum(webhooks.BACK_OFF)) < timedelta(days=2.5)


def test_what_it_names_exists() -> None:
    assert missing(DOCUMENT.read_text()) == []
    assert missing("`tests/test_lockout.py::test_nothing` `cdp/none.py` `tests/test_asvs.py`") == [
        "tests/test_lockout.py::test_nothing",
        "cdp/none.py",
    ]


def test_every_attacker_says_what_is_left_at_worst(db: None) -> None:
    sections = DOCUMENT.read_text().split("\n## ")[1:]
    assert len(sections) == 10
    for section in sections:
        assert re.search(r"[Aa]t worst|\| worth \||can change everything", section), section.split("\n")[0]
        assert "`tests/" in section, section.split("\n")[0]
    roles = next(section for section in sections if section.startswith("Staff"))
    named = re.findall(r"^\| ([a-z ]+) \|", roles, re.MULTILINE)
    assert {*Group.objects.values_list("name", flat=True)} <= {*named}
