"""The tracking HTTP API: request body → batch → ingest → response. Plain Django views."""
