"""Which requests run together, when, and on what: nothing here knows a protocol."""
