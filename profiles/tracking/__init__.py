"""The tracking API: calls of SDKs, browsers and backends → events on profiles, with a receipt for each item.

Its rooms import one way, each only from those before it: parse, sources, schemas, ingest, rejected, monitor, snippet,
http.
"""
