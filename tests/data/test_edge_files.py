"""Every file of the edge collection, in a process of its own with limits on time and memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import json, logging, resource, sys, warnings
from pathlib import Path
import numpy as np
from separable.data.decode import decode_picture, picture_size
from separable.errors import BadPictureError
logging.lastResort = None
warnings.simplefilter("error")
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
for path in sorted(p for p in Path(sys.argv[1]).rglob("*") if p.is_file()):
    answers = []
    for decoder in ("turbo", "pillow"):
        try:
            pixels = decode_picture(path, decoder=decoder)
            assert pixels.dtype == np.uint8 and pixels.shape == (*picture_size(path), 3), path
            answers.append(pixels)
        except BadPictureError as error:
            answers.append(error.what.rstrip("."))
    refused = isinstance(answers[0], str)
    same = answers[0] == answers[1] if refused else bool((answers[0] == answers[1]).all())
    print(json.dumps([path.name, answers[0] if refused else None, same]))
"""

REFUSED = {
    "LICENSE": "not a picture",
    "README": "not a picture",
    "README.rst": "not a picture",
    "broken.png": "damaged PNG header",
    "decompression_bomb.gif": "too large",
    "oom-225817ca0f8c663be7ab4b9e717b02c661e66834.tif": "damaged TIFF header",
    "png_decompression_dos.png": "too large",
    "truncated_image.png": "truncated PNG",
    "truncated_jpeg.jpg": "truncated JPEG",
    "unknown_compression_method.png": "damaged PNG header",
    "zero_width.gif": "zero width",
    # PngSuite: everything that begins with x is corrupt.
    "xc1n0g08.png": "damaged PNG header",
    "xc9n2c08.png": "damaged PNG header",
    "xcrn0g04.png": "a PNG with a damaged signature",
    "xd0n2c08.png": "damaged PNG header",
    "xd3n2c08.png": "damaged PNG header",
    "xd9n2c08.png": "damaged PNG header",
    "xdtn0g01.png": "damaged PNG",
    "xhdn0g08.png": "damaged PNG header",
    "xlfn0g04.png": "a PNG with a damaged signature",
    "xs1n0g01.png": "a PNG with a damaged signature",
    "xs2n0g01.png": "not a picture",
    "xs4n0g01.png": "not a picture",
    "xs7n0g01.png": "a PNG with a damaged signature",
}


@pytest.mark.shared
def test_all_219_files_are_read_or_refused_with_a_cause(test_data: Path) -> None:
    command = [sys.executable, "-X", "faulthandler", "-c", CODE, str(test_data / "edge")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 219
    assert all(same for _, _, same in answers), "the decoders disagree"
    refused = [(name, why) for name, why, _ in answers if why is not None]
    assert {name for name, _ in refused} == set(REFUSED)
    for name, why in refused:
        assert REFUSED[name] in why, (name, why)
    assert len(refused) == 25  # two of them are called LICENSE
