"""Runs ONNX files: kernel library, sessions, the model repository, the golden check."""
