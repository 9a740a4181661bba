"""The TensorFlow flower photos (3,670 pictures, 5 classes, CC BY 2.0): what `separable demo --photos` trains on."""

import tarfile
from collections.abc import Callable
from pathlib import Path

from separable.data.building import built_folder
from separable.download import fetch
from separable.errors import DownloadError

__all__ = ["fetch_photos"]

_URL = "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz"
# As tensorflow/datasets records it (tensorflow_datasets/url_checksums/tf_flowers.txt), for 228,813,984 bytes.
_SHA256 = "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c"


def fetch_photos(
    folder: Path,
    progress: Callable[[int, int | None], None] | None = None,
    *,
    url: str = _URL,
    sha256: str = _SHA256,
    cache_dir: Path | None = None,
) -> Path:
    """Download (resumed, cached, hash-checked) and unpack to `folder`/<class>/*.jpg; return `folder`.

    A folder unpacked before is used again; it appears complete or not at all.

    Raises:
        DownloadError: no network, or the server's file is not the published one (HashMismatchError).
        OutputError: the place is not writable.
    """
    if folder.is_dir():
        return folder
    if not hasattr(tarfile, "data_filter"):
        raise DownloadError("This Python cannot unpack an archive safely", fix="Use Python 3.11.4 or newer")
    archive = fetch(url, sha256, cache_dir=cache_dir, progress=progress)
    with built_folder(folder) as building:
        try:
            with tarfile.open(archive) as opened:
                opened.extractall(building, filter="data")  # refuses links and paths that lead out of `building`
        except tarfile.TarError as error:
            raise DownloadError(
                f"{archive} cannot be unpacked", got=str(error), fix="Remove it and try again"
            ) from error
        _without_outer_folder(building)
    return folder


def _without_outer_folder(building: Path) -> None:
    """Archives hold one folder with everything in it, or the classes themselves."""
    entries = list(building.iterdir())
    if len(entries) == 1 and entries[0].is_dir():
        outer = entries[0].rename(building / ".outer")  # out of the way of a class with the archive's name
        for entry in list(outer.iterdir()):
            entry.rename(building / entry.name)
        outer.rmdir()
