"""What arrives right now: rates, live calls, the checklist of an integration."""
