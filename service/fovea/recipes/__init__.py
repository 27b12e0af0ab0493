"""Recipes, one a model, and how they are trained: a folder for each task."""
