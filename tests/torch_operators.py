"""The torch operators of all mechanisms: every module of `fovea.attention` is imported, so that each has registered."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import fovea.attention
from fovea.attention.registration import OPERATOR_OF as OPERATOR_OF

for module in iter_modules(fovea.attention.__path__, "fovea.attention."):
    import_module(module.name)
