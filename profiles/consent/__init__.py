"""Consent: the append-only ledger, and messages that are only sent with consent."""
