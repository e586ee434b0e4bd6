"""Imports over HTTP: upload, look at the plan, apply it, steer it, fetch what it did."""
