"""Files in and out: an uploaded file becomes a plan, the plan becomes profiles, and either can be taken back."""
