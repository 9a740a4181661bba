"""The names of the 1000 ImageNet classes, which Keras publishes beside its weights and not in them."""

import json
import warnings
from pathlib import Path

from separable.download import fetch
from separable.errors import DownloadError

__all__ = ["imagenet_names"]

_URL = "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
# Keras checks the MD5 c2c37ea517e94d9795004a39431a14cb (applications/imagenet_utils.py); this is the same file's.
_SHA256 = "a1e7a966a1f601d39e4b43e119b3e7dd4a2ad3ea08cf69847cbaf021013767bc"


def imagenet_names(cache_dir: Path | None = None, url: str = _URL) -> tuple[str, ...]:
    """1000 names in the order of the classes; none, with a warning, where they cannot be downloaded."""
    try:
        path = fetch(url, _SHA256, cache_dir)
    except DownloadError as error:
        warnings.warn(f"The names of the classes cannot be had ({error.what}): numbers stand for them.", stacklevel=2)
        return ()
    index = json.loads(path.read_text(encoding="utf-8"))
    return tuple(index[str(number)][1].replace("_", " ") for number in range(len(index)))
