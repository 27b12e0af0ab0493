"""Before any test imports ONNX Runtime, its telemetry is turned off."""

import fovea  # noqa: F401
