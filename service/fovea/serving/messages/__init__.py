"""Between the protocol's messages and arrays: requests checked and decoded, answers made."""
