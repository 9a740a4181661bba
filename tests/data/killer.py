"""Installed in the data check's workers by a test: a file named killer.png ends the process, as a decoder's bug may."""

import os
import signal
import time
from pathlib import Path

from separable.data import check_scan

_scan = check_scan.scan_picture


def scan_or_die(path: str, max_pixels: int) -> check_scan.PictureFacts:
    if Path(path).name == "killer.png":
        os.kill(os.getpid(), signal.SIGKILL)
    if Path(path).name == "sleeper.png":
        time.sleep(3600)
    return _scan(path, max_pixels)


def install() -> None:
    check_scan.scan_picture = scan_or_die
