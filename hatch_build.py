"""Build hook: compiles protos/ to the descriptor set that `fovea.wire` loads. Generated, never committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OUTPUT = "service/fovea/inference.binpb"


class ProtoHook(BuildHookInterface):
    """Runs protoc before a wheel (or an editable install) is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the descriptor set and name it as part of the package."""
        del version
        if self.target_name == "wheel":
            compile_protos(Path(self.root))
            build_data["artifacts"].append(OUTPUT)


def compile_protos(root: Path) -> None:
    """Compile every file of protos/ into one FileDescriptorSet; RuntimeError where protoc fails."""
    from grpc_tools import protoc

    protos = sorted((root / "protos").glob("*.proto"))
    arguments = ["protoc", f"-I{root / 'protos'}", f"--descriptor_set_out={root / OUTPUT}"]
    if protoc.main([*arguments, *(str(path) for path in protos)]) != 0:
        raise RuntimeError("protoc could not compile protos/")


if __name__ == "__main__":
    compile_protos(Path(__file__).parent)
