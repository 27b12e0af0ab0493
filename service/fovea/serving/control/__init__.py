"""The answers to all that is not inference."""
