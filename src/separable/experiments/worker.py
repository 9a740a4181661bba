"""A process that carries out cells: `python -m separable.experiments.worker HOME`, told on standard input which.

Each line in is the key of a cell; each line out is what became of it. Ctrl-C is not for this process: when its standard
input ends, because the runner stops or has died, it saves what it does and ends, too.
"""

import json
import os
import queue
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from separable.errors import RunFolderError, SeparableError
from separable.training.lock import is_locked

__all__ = ["main"]


def main(home: Path) -> None:
    """Carry out what is asked for until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints: standard output is for answers alone

    from separable.training.signals import StopRequest

    stop, asked = StopRequest(), queue.SimpleQueue[str | None]()

    def listen() -> None:
        for line in sys.stdin:
            asked.put(line.strip())
        stop.request()
        asked.put(None)

    threading.Thread(target=listen, daemon=True).start()
    with suppress(BrokenPipeError):  # of a runner that has died
        while (key := asked.get()) is not None and not stop.requested:
            print(json.dumps(_attempt(key, home, stop)), file=answers, flush=True)


def _attempt(key: str, home: Path, stop: Any) -> dict[str, Any]:
    from separable.experiments.alone import beside_others
    from separable.experiments.carrying_out import CellPlace, carry_out
    from separable.experiments.cells import read_cell

    place = CellPlace(home, key)
    try:
        try:
            cell = read_cell(place.spec)
            if cell.key != key:
                return {"status": "error", "text": "The package was changed while this ran: start the command again."}
            with beside_others(home, stop):
                return {"status": "done" if carry_out(cell, home, stop) else "stopped"}
        except RunFolderError:
            if is_locked(place.lock):
                return {"status": "busy"}
            raise
    except SeparableError as error:
        return {"status": "error", "text": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"status": "error", "text": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
