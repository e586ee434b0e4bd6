"""Where staff take a file from upload to people: upload, columns, plan, apply, report."""

from imports.admin import urls

__all__ = ["urls"]
