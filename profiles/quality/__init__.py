"""Data quality per source: hourly counts, scorecard, change alarms, weekly report."""
