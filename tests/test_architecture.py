"""The laws of the house that a machine can check: import direction, exact exports, lazy start."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(importlib.import_module("separable").__file__ or "").parent
FOUNDATION = ["errors", "files", "download"]
LAYERS = [
    *FOUNDATION,
    "machine",
    "ops",
    "blocks",
    "models",
    "weights",
    "data",
    "analysis",
    "training",
    "segmentation",
    "runtime",
    "benchmarking",
    "experiments",
    "serving",
    "cli",
]


def layer_of(path: Path) -> str:
    part = path.relative_to(SOURCE).parts[0]
    return part.removesuffix(".py")


def imported_layers(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide their layer; write the full name"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "separable" else [module]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("separable.")}
    return found - {"__version__"}


def test_every_package_has_a_place_in_the_order() -> None:
    present = {layer_of(path) for path in SOURCE.rglob("*.py")} - {"__init__", "__main__"}
    assert present <= set(LAYERS), f"give these a place in the order: {sorted(present - set(LAYERS))}"


def test_imports_only_point_up_the_list() -> None:
    wrong = []
    for path in SOURCE.rglob("*.py"):
        layer = layer_of(path)
        if layer in ("__init__", "__main__"):
            continue
        allowed = LAYERS[: LAYERS.index(layer) + 1]
        wrong += [f"{path.relative_to(SOURCE)} imports {other}" for other in imported_layers(path) - set(allowed)]
    assert not wrong, "imports against the order:\n" + "\n".join(wrong)


def public_modules() -> list[str]:
    return sorted(
        ".".join(("separable", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        for path in SOURCE.rglob("*.py")
        if not path.name.startswith("__main__") and "cli" not in path.parts
    )


def reading_order(name: str) -> tuple[bool, bool, str]:
    """Constants, then classes, then functions, as ruff's RUF022 sorts them."""
    return (not name.isupper(), not name[0].isupper(), name)


@pytest.mark.parametrize("name", public_modules())
def test_all_is_exact(name: str) -> None:
    """`__all__` names what exists, is sorted, and leaves out no public class or function defined in the module."""
    module = importlib.import_module(name)
    if name == "separable.errors":
        return
    exported = getattr(module, "__all__", None)
    assert exported is not None, f"{name} has no __all__"
    assert list(exported) == sorted(exported, key=reading_order), f"{name}.__all__ is not sorted"
    assert all(hasattr(module, entry) for entry in exported)
    own = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", None) == name and callable(value)
    }
    assert own <= set(exported), f"{name} defines public names outside __all__: {sorted(own - set(exported))}"


@pytest.mark.parametrize("statement", ["import separable", "import separable.cli"])
def test_start_needs_no_torch(statement: str) -> None:
    code = f"import sys; {statement}; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
