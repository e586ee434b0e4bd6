"""Counters for Prometheus. No label contains personal data: routes are patterns, never paths."""

from prometheus_client import Counter, Histogram

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

requests = Counter("cdp_http_requests_total", "Requests answered.", ["method", "route", "status"])
request_seconds = Histogram(
    "cdp_http_request_seconds",
    "Time until the response was ready.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
database_errors = Counter("cdp_database_errors_total", "Requests the database could not serve.", ["kind"])
csp_reports = Counter("cdp_csp_reports_total", "Content security policy violations reported.", ["directive"])
