"""Events and identities from SDKs, browsers and backends: the door, who they belong to, receipts, schemas."""
