"""From a version's folder to a served version, or one reason why not."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from fovea.contract.errors import FoveaError, LoadFailed, ModelBroken
from fovea.runtime.cores import usable_cores
from fovea.runtime.load_places import LoadPlaces
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loading import load_chosen
from fovea.runtime.printable import printable
from fovea.runtime.repository import ModelFolder
from fovea.runtime.stamps import bytes_in
from fovea.runtime.transient_errors import may_pass
from fovea.serving.lifecycle.served_version import BatchDefaults, ServedVersion
from fovea.serving.observability.attention_sampler import AttentionSampler
from fovea.serving.observability.telemetry import Telemetry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VersionLoader:
    """Loads versions, and tells telemetry of those that cannot be served."""

    settings: LoadSettings
    defaults: BatchDefaults
    telemetry: Telemetry
    sampler: AttentionSampler
    places: LoadPlaces = field(default_factory=lambda: LoadPlaces(usable_cores()), kw_only=True)
    """For those that are loaded at once."""

    def load(self, folder: ModelFolder, version: str) -> ServedVersion:
        """A version, ready. ModelBroken tells why it cannot be served, whatever the trouble was.

        LoadFailed where that may be otherwise later, with the same files.
        """
        try:
            with self.places.taken(bytes_in(folder.version_path(int(version)))):
                return self._serve(folder, int(version))
        except FoveaError as error:
            kind = LoadFailed if may_pass(error) else ModelBroken
            raise kind(printable(str(error))) from error
        except Exception as error:  # one version's trouble is never the server's
            log.exception("%s version %s", folder.name, version)
            raise LoadFailed(f"{type(error).__name__} while loading") from error

    def _serve(self, folder: ModelFolder, version: int) -> ServedVersion:
        loaded = load_chosen(folder, version, self.settings)
        try:
            return ServedVersion(loaded, folder, self.defaults, self.telemetry, self.sampler)
        except BaseException:
            loaded.close()
            raise
