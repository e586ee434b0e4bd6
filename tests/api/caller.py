"""A small client: JSON in, JSON out, the key in the header."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

from cdp.api.keys import NewKey
from tests.api.described import check_answer

Answer = Any


class Caller:
    """``api.post("profiles/", {...})``; paths are below /api/v1/. Answers carry ``.data``, parsed."""

    def __init__(self, key: NewKey | None, client: Client | None = None) -> None:
        self.key = key
        self.client = client or Client()

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """``body``: bytes go as they are, anything else as JSON; ``If_Match='"3"'`` becomes a header."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        content_type = sent.pop("Content-Type", "application/json")
        if self.key is not None:
            sent.setdefault("Authorization", f"Bearer {self.key.secret}")
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        path = path if path.startswith("/") else f"/api/v1/{path}"
        answer: Answer = self.client.generic(method, path, data, content_type=content_type, headers=sent)
        kind = answer.get("Content-Type", "")
        is_json = "json" in kind and not answer.streaming and answer.content
        answer.data = json.loads(answer.content) if is_json else None
        check_answer(method, path, answer, answer.data)
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("PUT", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("PATCH", path, body, **headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("DELETE", path, body, **headers)


def refusal(answer: Answer) -> tuple[int, str]:
    """An error as (status, sentence); fails when it is not a problem document."""
    assert answer["Content-Type"] == "application/problem+json", answer.content
    assert answer.data["status"] == answer.status_code
    return answer.status_code, answer.data["detail"]
