"""Compile the traffic path when the wheel is built, if this machine can.

The files of ``NATIVE`` are ordinary typed Python and run as they are. Where a C compiler and Python's
headers are there, mypyc makes native modules of them, all or none, and they go into the wheel beside their
sources; Python prefers them. Nothing else depends on it: without a compiler the same install is pure.

``PGCOACH_NATIVE`` decides: ``auto`` (default), ``never``, or ``require``, which fails instead of falling
back.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = (
    "proxy/wire/*.py",
    "proxy/observe/*.py",
    *(
        f"workload/capture/{name}.py"
        for name in (
            *("capture", "statements", "samples", "histogram", "hashes"),
            *("units", "unit_parts", "retention", "results", "flow"),
        )
    ),
    *(f"workload/{name}.py" for name in ("lexer", "shapes", "growing", "tokens")),
)
"""What every statement passes through on its way from the wire to a counter."""

_SETUP = """
import sys
from mypyc.build import mypycify
from setuptools import setup

setup(name="native", ext_modules=mypycify(sys.argv.pop(1).split("|"), opt_level="3", debug_level="0",
                                          group_name="pgcoach_native"))
"""


class NativeBuildHook(BuildHookInterface[Any]):
    """hatchling finds it by its file's name."""

    def dependencies(self) -> list[str]:
        """What compiling takes (msgspec for its types); nothing is fetched where it is not possible."""
        return ["mypy[mypyc]>=1.16", "setuptools>=70", "msgspec>=0.19,<1"] if self._wanted("standard") else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not self._wanted(version):
            return
        self._work = tempfile.mkdtemp(prefix="pgcoach-native-")
        try:
            modules = _compile(Path(self.root), Path(self._work))
        except subprocess.CalledProcessError as error:
            if _mode() == "require":
                raise
            said = (error.stderr or error.stdout or "").strip().splitlines()
            self.app.display_warning(f"not compiled, pure Python instead: {said[-1] if said else error}")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"].update({str(path): name for name, path in modules.items()})

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if work := getattr(self, "_work", None):
            shutil.rmtree(work, ignore_errors=True)

    def _wanted(self, version: str) -> bool:
        mode = _mode()
        if version != "standard" or self.target_name != "wheel" or mode == "never":
            return False
        return mode == "require" or _can_compile()


def _mode() -> str:
    return os.environ.get("PGCOACH_NATIVE", "auto")


def _can_compile() -> bool:
    compiler = (os.environ.get("CC") or str(sysconfig.get_config_var("CC") or "")).split()
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return (
        sys.implementation.name == "cpython"
        and bool(compiler and shutil.which(compiler[0]))
        and header.is_file()
    )


def _compile(root: Path, work: Path) -> dict[str, Path]:
    """Native modules by their place in the wheel. Raises CalledProcessError with the compiler's words."""
    sources = sorted(
        path.relative_to(root)
        for pattern in NATIVE
        for path in root.glob(pattern)
        if path.name != "__init__.py"
    )
    tree = work / "tree"
    for package in ("proxy", "workload"):
        shutil.copytree(root / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "setup.py").write_text(_SETUP)
    subprocess.run(
        [
            *(sys.executable, "setup.py", "|".join(map(str, sources))),
            *("--quiet", "build_ext", "--build-lib", str(work / "lib")),
        ],
        cwd=tree,
        check=True,
        capture_output=True,
        text=True,
    )
    return {str(path.relative_to(work / "lib")): path for path in sorted((work / "lib").rglob("*.so"))}
