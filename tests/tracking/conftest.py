"""The callers of the API's tests, for what tracking leads to there."""

from __future__ import annotations

from tests.api.conftest import api, with_scopes

__all__ = ["api", "with_scopes"]
