"""Building the kernels: where it cannot be done, a reason and plain torch."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from separable import ops
from separable.errors import UsageError
from separable.ops.cpu import build

VERSION = "[ $1 = --version ] && exit 0\n"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "_loaded", None)
    monkeypatch.setattr(build, "_automatic", False)  # or whoever loads the kernels later would have them in use
    monkeypatch.setenv("SEPARABLE_CACHE", str(tmp_path))
    build._compiler.cache_clear()
    build._library.cache_clear()


@pytest.fixture(autouse=True, scope="module")
def clean() -> None:
    yield  # type: ignore[misc]
    build._compiler.cache_clear()
    build._library.cache_clear()


def compiler(tmp_path: Path, script: str) -> str:
    path = tmp_path / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_without_a_compiler_plain_torch_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    status = build.load_kernels()
    assert status == build.KernelStatus(False, "no C++ compiler was found (g++ or clang++ on the path, or $CXX)")
    assert build.kernel_status() == status
    assert not build.kernels_in_use()
    x, w = torch.randn(1, 2, 4, 4), torch.randn(2, 1, 3, 3)
    with pytest.raises(UsageError, match=r"The CPU kernels are not available\. Got: no C\+\+ compiler was found"):
        ops.depthwise_conv2d(x, w, implementation="cpu")
    assert ops.depthwise_conv2d(x, w).shape == (1, 2, 2, 2)


def test_a_failing_compiler_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing = compiler(
        tmp_path, "[ $1 = --version ] && exit 0\necho 'kernels.cpp:1: error: no such header' >&2; exit 1"
    )
    monkeypatch.setenv("CXX", failing)
    assert build.kernel_status().reason == "the CPU kernels have not been built on this machine yet"
    status = build.load_kernels()
    assert status.reason == "the C++ compiler could not build the CPU kernels: kernels.cpp:1: error: no such header"
    assert not status.available
    assert list((tmp_path / "kernels").iterdir()) == [], "nothing half-built is left"


def test_a_compiler_that_cannot_be_run_is_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "compiler"
    broken.write_bytes(b"\x7fELF no program")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    for status in (build.kernel_status(), build.load_kernels()):
        assert not status.available
        assert status.reason.startswith("the CPU kernels could not be built or loaded: [Errno 8] Exec format error")


def test_a_damaged_library_is_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", compiler(tmp_path, f"{VERSION}for last; do :; done; echo junk > $last"))
    status = build.load_kernels()
    assert not status.available
    assert status.reason.startswith("the CPU kernels could not be built or loaded: ")


def test_a_folder_that_cannot_be_written_is_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "kernels").write_text("a file where the folder belongs")
    monkeypatch.setenv("CXX", compiler(tmp_path, "exit 0"))
    assert "could not be built or loaded" in build.load_kernels().reason


def test_what_decides_the_library_is_in_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    names = set()
    for folder, version in ((one, 1), (two, 1), (two, 2)):
        folder.mkdir(exist_ok=True)
        names.add(build._library(compiler(folder, f"echo {version}")).name)
        build._library.cache_clear()
    monkeypatch.setattr(torch, "__version__", "9.9")
    names.add(build._library(compiler(one, "echo 1")).name)
    assert len(names) == 4


def test_where_the_package_lies_is_no_part_of_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = build._compiler() or "c++"
    here = build._library(found)
    moved = tmp_path / "moved"
    shutil.copytree(build._FOLDER, moved)
    monkeypatch.setattr(build, "_FOLDER", moved)
    build._library.cache_clear()
    assert build._library(found).name == here.name
    (moved / "blocks.h").write_text("// other code")
    build._library.cache_clear()
    assert build._library(found).name != here.name
    build._library.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processor", "capability"), [("native", "AVX2"), ("haswell", "AVX2"), ("skylake-avx512", "AVX512")]
)
def test_it_compiles_for_other_processors(processor: str, capability: str, tmp_path: Path) -> None:
    """Whatever the processor has, torch can be told to use less (ATEN_CPU_CAPABILITY)."""
    found = build._compiler()
    if found is None or platform.machine() != "x86_64":
        pytest.skip("no compiler for x86-64")
    flags = [flag for flag in build._flags(found) if "CPU_CAPABILITY" not in flag and "-march" not in flag]
    told = [f"-march={processor}", f"-DCPU_CAPABILITY={capability}", f"-DCPU_CAPABILITY_{capability}"]
    include = f"-I{Path(torch.__file__).parent / 'include'}"
    for name in build._SOURCES:
        command = [*flags, *told, include, "-fsyntax-only", str(build._FOLDER / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:2000]


def test_importing_the_package_builds_nothing(tmp_path: Path) -> None:
    code = "import separable.blocks, separable.ops as o, torch; o.depthwise_conv2d(*[torch.ones(1, 1, 3, 3)] * 2)"
    environment = {**os.environ, "SEPARABLE_CACHE": str(tmp_path / "empty")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert not (tmp_path / "empty").exists()
