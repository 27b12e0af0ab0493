"""What an image is made of, as CycloneDX JSON: `sbom.py DPKG_STATUS SITE_PACKAGES...`. Run while the image is built."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from email.parser import Parser
from importlib.metadata import distributions
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL


def library(kind: str, name: str, version: str, namespace: str | None = None) -> Component:
    """A package under its package URL, by which scanners look up what is known of it."""
    url = PackageURL(kind, namespace, name, version)
    return Component(name=name, version=version, type=ComponentType.LIBRARY, purl=url, bom_ref=url.to_string())


def python_packages(folders: Sequence[str]) -> Iterator[Component]:
    """The interpreter, which need not be one of dpkg's, and every distribution that lies in folders of packages."""
    yield library("generic", "python", platform.python_version())
    for found in distributions(path=list(folders)):
        yield library("pypi", found.metadata["Name"].lower().replace("_", "-"), found.version)


def debian_packages(status: Path) -> Iterator[Component]:
    """What dpkg says is installed."""
    for stanza in status.read_text(encoding="utf-8").split("\n\n"):
        fields = Parser().parsestr(stanza)
        if fields["Status"] == "install ok installed":
            yield library("deb", fields["Package"], fields["Version"], "debian")


def bill(components: Iterable[Component]) -> str:
    """The document: an image that depends on all of them."""
    image = Component(name="fovea", type=ComponentType.CONTAINER, bom_ref="fovea")
    made = Bom(components=components)
    made.metadata.component = image
    made.register_dependency(image, made.components)
    return str(JsonV1Dot6(made).output_as_string(indent=1))


if __name__ == "__main__":
    status, *folders = sys.argv[1:]
    print(bill([*python_packages(folders), *debian_packages(Path(status))]))
