"""Facts that every part of Fovea agrees on. Imports nothing but the standard library and pydantic."""
