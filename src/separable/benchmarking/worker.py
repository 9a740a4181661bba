"""A contestant's process: reads orders, one JSON document a line, from standard input and answers in the same way.

Run as a script, by whatever interpreter the contestant wants. That environment need not have this package: it is taken
from the folder that this file is in, and nothing else of that folder's environment is. What libraries print on standard
output goes where errors go.
"""

import importlib
import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from separable.benchmarking.contest import Runner

__all__ = ["called", "main"]

_PACKAGE = "separable"


def main() -> None:
    """Obey until standard input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _import_package()
    worker = _Worker()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            reply = worker.obey(order)
        except Exception as error:
            traceback.print_exc()
            reply = {"failure": f"{type(error).__name__}: {error}".strip()}
        replies.write(json.dumps(reply, default=str) + "\n")
        replies.flush()


def called(path: str) -> Any:
    """The function that "module:function" names."""
    module, _, function = path.partition(":")
    return getattr(importlib.import_module(module), function)


class _Worker:
    def __init__(self) -> None:
        self.runner: Runner | None = None

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        if order["do"] == "open":
            return self._open(order)
        if self.runner is None:
            raise RuntimeError("nothing is open")
        if order["do"] == "answer":
            return _stored(self.runner.answer(), Path(order["path"]))
        if order["do"] == "describe":
            return {"description": self.runner.describe()}
        if order["do"] == "step":
            return {"seconds": float(self.runner.step())}
        if order["do"] == "memory":
            peak = self.runner.peak_memory()
            return {"bytes": _peak_of_process() if peak is None else int(peak)}
        if order["do"] == "close":
            self.runner.close()
            return {}
        raise RuntimeError(f"unknown order {order['do']}")

    def _open(self, order: dict[str, Any]) -> dict[str, Any]:
        from separable.benchmarking.contest import Contestant, Given, Task

        contestant, task = Contestant(**order["contestant"]), Task(**order["task"])
        self.runner = called(contestant.factory)(contestant, task, Given(Path(order["folder"])))
        return {}


def _stored(answer: dict[str, Any], path: Path) -> dict[str, Any]:
    import numpy as np

    np.savez(path, **answer)
    return {"path": str(path)}


def _peak_of_process(status: Path = Path("/proc/self/status"), clear: Path = Path("/proc/self/clear_refs")) -> int:
    """Bytes of memory that this process held at most since the last call; 0 where the system does not say."""
    try:
        text = status.read_text(encoding="ascii", errors="replace")
        clear.write_text("5", encoding="ascii")  # proc(5): the peak starts again from what is held now
    except OSError:
        return _peak_since_start()
    found = [line.split()[1] for line in text.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else _peak_since_start()


def _peak_since_start() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)


def _import_package() -> None:
    """Make `import separable` find the package that this file belongs to, whatever else is installed here."""
    folder = Path(__file__).absolute().parent.parent
    spec = importlib.util.spec_from_file_location(
        _PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_PACKAGE] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main()
