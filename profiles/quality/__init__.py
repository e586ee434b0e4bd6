"""What sources sent → data quality per source: hourly counts, scorecard, change alarms, weekly report."""
