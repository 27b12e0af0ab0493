"""Data sets and seeded training: one recipe per model that Fovea exports."""
