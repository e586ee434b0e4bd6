"""docs/asvs.md has a row for each requirement of levels 1 and 2, and whatever a row names exists.

Below, what the table claims and no other test shows: passwords, secrets, sessions, and what is served.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from django.conf import global_settings, settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils.module_loading import import_string

from cdp.actors import Actor
from cdp.api.keys import create_key
from cdp.models import User
from cdp.models.webhook import new_secret
from tests.doc_references import missing

DOCUMENT = Path(settings.BASE_DIR) / "docs" / "asvs.md"
# The sections of ASVS 5.0.0, and the level of each of their requirements in order: "113" is two of level 1 and one of level 3.
LEVELS = {
    "1.1": "22", "1.2": "1111122223", "1.3": "112222222223", "1.4": "222", "1.5": "123",
    "2.1": "122", "2.2": "112", "2.3": "12223", "2.4": "23",
    "3.1": "3", "3.2": "113", "3.3": "12223", "3.4": "11222233", "3.5": "11122333", "3.6": "3", "3.7": "22333",
    "4.1": "12233", "4.2": "23333", "4.3": "22", "4.4": "1222",
    "5.1": "2", "5.2": "112333", "5.3": "113", "5.4": "222",
    "6.1": "122", "6.2": "111111112222", "6.3": "11223333", "6.4": "112233", "6.5": "22222333", "6.6": "2223",
    "6.7": "33", "6.8": "2222",
    "7.1": "222", "7.2": "1111", "7.3": "22", "7.4": "11222", "7.5": "223", "7.6": "22",
    "8.1": "1233", "8.2": "1123", "8.3": "133", "8.4": "23",
    "9.1": "111", "9.2": "1222",
    "10.1": "22", "10.2": "223", "10.3": "22223", "10.4": "1111122222233333", "10.5": "22222", "10.6": "22",
    "10.7": "222",
    "11.1": "2233", "11.2": "22233", "11.3": "11233", "11.4": "1222", "11.5": "23", "11.6": "23", "11.7": "33",
    "12.1": "12233", "12.2": "11", "12.3": "22223",
    "13.1": "2333", "13.2": "222223", "13.3": "2233", "13.4": "1222233",
    "14.1": "22", "14.2": "12223333", "14.3": "122",
    "15.1": "12233", "15.2": "12233", "15.3": "1222222", "15.4": "3333",
    "16.1": "2", "16.2": "22222", "16.3": "2222", "16.4": "222", "16.5": "2223",
    "17.1": "23", "17.2": "22223333", "17.3": "22",
}  # fmt: skip
ANSWERS = ("met", "n/a", "open")


def rows() -> list[list[str]]:
    """``[id, level, what it asks for, answer, where or why]`` of each row."""
    lines = DOCUMENT.read_text().splitlines()
    return [line.strip("| ").split(" | ") for line in lines if re.match(r"\| \d", line)]


def test_each_requirement_has_its_row_in_order() -> None:
    required = [
        [f"{section}.{number}", level]
        for section, levels in LEVELS.items()
        for number, level in enumerate(levels, start=1)
        if level in "12"
    ]
    # As the standard counts them.
    assert Counter(level for _, level in required) == {"1": 70, "2": 183}
    assert [row[:2] for row in rows()] == required


def test_each_row_has_an_answer_and_what_it_names_exists() -> None:
    faults = []
    for row in rows():
        if len(row) != 5 or not all(row):
            faults.append((row[0], "needs five filled cells"))
            continue
        number, _, asks, answer, reason = row
        named = re.findall(r"`([^`]+)`", reason)
        if len(asks.split()) > 12:
            faults.append((number, "takes more than a dozen words"))
        if answer not in ANSWERS:
            faults.append((number, f"{answer} is no answer"))
        if answer == "met" and not any("/" in name or "." in name for name in named):
            faults.append((number, "names nothing that shows it"))
        faults += [(number, f"{name} does not exist") for name in missing(reason)]
    assert faults == []


def test_the_sums_are_those_of_the_table() -> None:
    counts = Counter(row[3] for row in rows())
    text = " ".join(DOCUMENT.read_text().split())
    assert (
        f"Of {sum(counts.values())} requirements {counts['met']} are met, {counts['n/a']} do not apply and"
        f" {counts['open']} are open."
    ) in text


def test_passwords() -> None:
    user = User(username="ada.lovelace", email="ada@example.com")
    refused = {
        "zebra-7": "This password is too short. It must contain at least 8 characters.",
        "baseball1": "This password is too common.",
        "ada.lovelace1": "The password is too similar to the username.",
    }
    for password, sentence in refused.items():
        with pytest.raises(ValidationError) as error:
            validate_password(password, user)
        assert error.value.messages == [sentence]
    # No rules of composition, no longest length, and nothing is taken off.
    long = " all small letters and a space at either end " * 10
    validate_password(long, user)
    user.set_password(long)
    assert user.check_password(long)
    assert not user.check_password(long.strip())
    assert not user.check_password(long.upper())


def test_hashes_of_passwords_are_slow() -> None:
    """Tests hash quickly, so this asks for Django's own choice, which no setting of ours replaces."""
    source = (Path(settings.BASE_DIR) / "cdp" / "settings.py").read_text()
    assert "PASSWORD_HASHERS" not in source
    hasher = import_string(global_settings.PASSWORD_HASHERS[0])
    assert (hasher.algorithm, hasher.digest().name) == ("pbkdf2_sha256", "sha256")
    assert hasher.iterations >= 600_000


@pytest.mark.django_db
def test_secrets_have_128_random_bits(ada: User) -> None:
    """By what they are made of: base64 has 6 bits a character, hexadecimal 4."""
    key = create_key(name="shop", scopes=["profiles:read"], actor=Actor.of_user(ada)).secret
    assert len(key.removeprefix("cdp_")) * 6 >= 128
    assert len(new_secret()) * 6 >= 128
    package = Path(settings.BASE_DIR)
    made = [
        (str(path.relative_to(package)), int(size))
        for folder in ("cdp", "profiles", "imports", "segments")
        for path in (package / folder).rglob("*.py")
        for size in re.findall(r"secrets\.token_\w+\((\d*)\)", path.read_text())
    ]
    assert len(made) >= 5
    assert [(path, size) for path, size in made if size < 16] == []


@pytest.mark.django_db
def test_a_login_gets_a_new_session(ada: User) -> None:
    """Whoever planted a cookie before has nothing of the session after it."""
    client = Client()
    sign_in = {"username": "ada", "password": "ada"}
    client.post("/admin/login/", sign_in)
    first = client.cookies["sessionid"].value
    client.post("/admin/login/", sign_in)
    assert client.cookies["sessionid"].value != first
    old = Client()
    old.cookies["sessionid"] = first
    assert old.get("/admin/account/").status_code == 302


@pytest.mark.parametrize(
    "address",
    [
        "/.git/config",
        "/static/",
        "/static/cdp/",
        "/static/../manage.py",
        "/static/%2e%2e/manage.py",
        "/files/",
        "/manage.py",
    ],
)
def test_nothing_but_static_files_is_served(address: str) -> None:
    assert Client().get(address).status_code == 404
