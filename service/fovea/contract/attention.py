"""The attention types."""

from __future__ import annotations

from enum import StrEnum


class AttentionType(StrEnum):
    """A mechanism's label: in metrics, in model cards and in the module factory."""

    NONE = "none"
    SQUEEZE_EXCITATION = "squeeze_excitation"
    SQUEEZE_ONLY = "squeeze_only"
    SPATIAL = "spatial"
    CBAM = "cbam"
    SIMAM = "simam"
    DISTANCE = "distance"
    ADDITIVE = "additive"
    DOT = "dot"
    SCALED_DOT = "scaled_dot"
    BILINEAR = "bilinear"
    HARD_ARGMAX = "hard_argmax"
    HARD_SAMPLE = "hard_sample"
    KEY_VALUE = "key_value"
    SELF = "self"
    MULTI_HEAD = "multi_head"
    EXTERNAL = "external"
    GATED = "gated"
    MAX_POOL = "max_pool"
    ECA = "eca"
    COORDINATE = "coordinate"
    OTHER = "other"
    """In others' models: a softmax-weighted mean that none of these names. Whoever knows the model sets it, with
    `fovea export --attention other` or in model.toml; no module is made from it."""
    UNKNOWN = "unknown"
    """What looks like attention in a file that nobody labelled, and is none of these. No module is made from it."""
