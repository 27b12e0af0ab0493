"""What answers requests, one engine behind each version."""
