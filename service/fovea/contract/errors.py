"""The errors Fovea raises on purpose.

FoveaError
├── InvalidRequest          the caller sent something that does not fit the model
├── NotFound                no such model or version
├── AlreadyExists           there is one of that name
├── Unauthenticated         the server does not know who asks
├── Forbidden               it knows, and does not let them
├── Unsupported             a request, or a model, that wants what this server does not offer
├── Unavailable             it exists, and cannot be had now
│   ├── NotReady            the version is not (or no longer) ready
│   │   └── VersionEnded    it has been let go since it was looked up: look again
│   ├── QueueFull           the bounded queue is full
│   └── Draining            the server is shutting down
├── QueueTimeout            the request's own time in the queue ran out
├── DeadlineExceeded        the call's deadline passed before it ran
├── Cancelled               the caller is gone
├── ModelBroken             a model file that cannot be loaded, or does not give its golden answers
│   └── LoadFailed          it could not be loaded now: the reason may pass, its files may be in order
├── ExecutionFailed         the model failed on this request
│   ├── OutOfMemory         it needs more memory than the device has left
│   └── InputRefused        it cannot take these values or sizes, while it has run on others
├── RegionTooSmall          a tensor does not fit into its shared memory
├── ExportFailed            a module that cannot be exported, or does not agree with its export
└── Misconfigured           settings that cannot be met (no such device, port taken)
"""

from __future__ import annotations


class FoveaError(Exception):
    """Base of all; the message is shown to the user as it stands."""


class InvalidRequest(FoveaError):
    """The caller sent something that does not fit the model."""


class NotFound(FoveaError):
    """No such model or version."""


class AlreadyExists(FoveaError):
    """There is one of that name."""


class Unauthenticated(FoveaError):
    """The server does not know who asks: no token, or a wrong one."""


class Forbidden(FoveaError):
    """Not to be had by those who ask, or by anybody until it is opened."""


class Unsupported(FoveaError):
    """A request, or a model's configuration, that wants what this server does not offer."""


class Unavailable(FoveaError):
    """It exists, and cannot be had now."""


class NotReady(Unavailable):
    """The version is not, or no longer, ready."""


class VersionEnded(NotReady):
    """The version has been let go since it was looked up: look again."""


class QueueFull(Unavailable):
    """The bounded queue is full."""


class Draining(Unavailable):
    """The server is shutting down."""

    def __init__(self, text: str = "the server is shutting down") -> None:
        super().__init__(text)


class QueueTimeout(FoveaError):
    """The request's own time in the queue ran out."""


class DeadlineExceeded(FoveaError):
    """The call's deadline passed before it ran."""


class Cancelled(FoveaError):
    """The caller is gone."""


class ModelBroken(FoveaError):
    """A model file that cannot be loaded, or does not give its golden answers."""


class LoadFailed(ModelBroken):
    """It could not be loaded now, for a reason that may pass: its files may be in order."""


class ExecutionFailed(FoveaError):
    """The model failed on this request."""


class OutOfMemory(ExecutionFailed):
    """The request needs more memory than the device has left."""


class InputRefused(ExecutionFailed):
    """The model runs, and cannot take these values or sizes: an index beyond a table, say."""


class RegionTooSmall(FoveaError):
    """A tensor does not fit into the shared memory that it was to have."""


class ExportFailed(FoveaError):
    """A module that cannot be exported, or does not agree with its export."""


class Misconfigured(FoveaError):
    """Settings that cannot be met on this machine."""
