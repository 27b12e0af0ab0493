"""Small torch networks with a slot for an attention type."""
