"""gunicorn's own log records → lines without paths, query strings and addresses, which may contain personal data."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn.glogging import Logger

from cdp.logs import PlainFormatter

_REFERRER, _QUERY, _PATH, _REQUEST = "f", "q", "U", "r"


class DiscreetLogger(Logger):
    """Routes instead of paths in the access log; no path and no mail address among the errors."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        if not any(isinstance(filter_, WithoutPaths) for filter_ in self.error_log.filters):
            self.error_log.addFilter(WithoutPaths())
        for handler in self.error_log.handlers:
            handler.setFormatter(PlainFormatter(self.error_fmt, self.datefmt))

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> dict[str, Any]:
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        route = route_of(environ.get("PATH_INFO", ""))
        for name in ("{raw_uri}e", "{path_info}e", "{query_string}e", "{http_referer}e", "{referer}i"):
            atoms.pop(name, None)
        request = f"{environ['REQUEST_METHOD']} {route} {environ['SERVER_PROTOCOL']}"
        return {**atoms, _REQUEST: request, _PATH: route, _QUERY: "", _REFERRER: "-"}


class WithoutPaths(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                "(path withheld)" if isinstance(part, str) and part.startswith("/") else part
                for part in record.args
            )
        return True


def route_of(path: str) -> str:
    from django.urls import Resolver404, resolve

    try:
        return resolve(path).route
    except Resolver404:
        return "(no route)"
