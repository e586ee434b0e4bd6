"""Callers of the API: keys with scopes, and a client that speaks JSON."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdp.actors import Actor
from cdp.api.keys import create_key
from tests.api.caller import Caller


@pytest.fixture
def with_scopes(db: None) -> Callable[..., Caller]:
    """``with_scopes("profiles:read", "pii")``: a caller with a key of these scopes."""

    def make(*scopes: str, name: str = "shop") -> Caller:
        return Caller(create_key(name=name, scopes=scopes, actor=Actor.system()))

    return make


@pytest.fixture
def api(with_scopes: Callable[..., Caller]) -> Caller:
    """A key that may do everything."""
    return with_scopes("all")


@pytest.fixture
def stranger(db: None) -> Caller:
    """Somebody without a key."""
    return Caller(None)
