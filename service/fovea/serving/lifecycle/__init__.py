"""Which versions are served: loading, swapping, watching the repository, letting go."""
