"""Graph rewrites that find attention, one a file. `applied.py` lists them, applies them and tries what they made."""
