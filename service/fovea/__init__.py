"""Fovea: models with attention in them, from PyTorch to production.

Nothing of the package is imported before this. From 1.29 on ONNX Runtime keeps files in the user's cache and reports to
its maker, unless a variable forbids it before the import; an operator who wants that sets it to 0.
"""

import os

__version__ = "0.1.0"

os.environ["ORT_DISABLE_TELEMETRY"] = os.environ.get("ORT_DISABLE_TELEMETRY") or "1"
