"""Texts: encoders that classify and compare them."""
