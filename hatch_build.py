"""Build hook: the descriptor set that `fovea.wire` loads, and the fused kernels where they can be compiled.

Generated, never committed.
"""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OUTPUT = "service/fovea/inference.binpb"
KERNELS = "service/kernels/build.py"


class FoveaHook(BuildHookInterface):
    """Runs protoc and the C++ compiler before a wheel (or an editable install) is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the descriptor set, and the kernels or why there are none; name them as parts of the package."""
        if self.target_name != "wheel":
            return
        compile_protos(Path(self.root))
        build_data["artifacts"].append(OUTPUT)
        reason = self._add_kernels(version, build_data)
        if reason:
            self.app.display_warning(reason)

    def _add_kernels(self, version: str, build_data: dict[str, Any]) -> str | None:
        """An editable install finds the library where it was built; a wheel holds it, and fits this platform only."""
        kernels = kernel_builder(Path(self.root))
        plan = kernels.Plan()
        reason = kernels.build_or_tell(plan)
        if version != "editable":
            part = plan.folder / kernels.NOTE_NAME if reason else plan.library
            build_data["force_include"][str(part)] = f"fovea/{part.name}"
            if not reason:
                build_data["pure_python"] = False
                build_data["tag"] = f"py3-none-{platform_tag()}"
        return kernels.in_one_line(reason) if reason else None


def platform_tag() -> str:
    """This platform, as the name of a wheel has it."""
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def kernel_builder(root: Path) -> ModuleType:
    """service/kernels/build.py, which is a script and in no package."""
    script = root / KERNELS
    sys.path.append(str(script.parent))  # it imports what lies beside it
    spec = importlib.util.spec_from_file_location("fovea_kernel_builder", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def compile_protos(root: Path) -> None:
    """Compile every file of protos/ into one FileDescriptorSet; RuntimeError where protoc fails."""
    from grpc_tools import protoc

    protos = sorted((root / "protos").glob("*.proto"))
    arguments = ["protoc", f"-I{root / 'protos'}", f"--descriptor_set_out={root / OUTPUT}"]
    if protoc.main([*arguments, *(str(path) for path in protos)]) != 0:
        raise RuntimeError("protoc could not compile protos/")


if __name__ == "__main__":
    compile_protos(Path(__file__).parent)
