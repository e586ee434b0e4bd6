"""Checked items → profiles, identifiers, events and receipts, in one transaction per call."""
