"""What templates say about times, numbers and states."""
