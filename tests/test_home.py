"""The bare address leads to work, and machines find an index."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import resolve


def test_the_bare_address_leads_to_the_admin() -> None:
    response = Client().get("/")
    assert (response.status_code, response["Location"]) == (302, "/admin/")
    assert Client().post("/").status_code == 405


def test_the_index_names_only_addresses_there_are(settings: object) -> None:
    response = Client().get("/llms.txt")
    text = response.content.decode()
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert text.startswith("# People: a customer data platform\n")
    paths = re.findall(r"http://127\.0\.0\.1:8000(/[\w/.:@-]*)", text)
    assert len(paths) > 6
    for path in paths:
        resolve(re.sub("WINNER|MERGE|ID", "1", path))
    with pytest.raises(Exception, match="nowhere"):
        resolve("/nowhere/")
