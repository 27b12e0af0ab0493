"""Spellings to sounds: which vowel of an English word bears the stress, read through one glimpse."""
