"""The check on real files: those that break readers, and photographs of which few are copies."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from separable.data.check import check_folder

CHECK = """
import json, sys
from separable.data.check import check_folder
report = check_folder(sys.argv[1])
report.to_text().encode()
json.dump(report.to_json(), sys.stdout)
"""


@pytest.mark.shared
def test_files_that_break_readers_do_not_break_the_check(test_data: Path, tmp_path: Path) -> None:
    """In a process of its own, so that a crash or a hang of a decoder fails this test and nothing else."""
    files = [path for path in sorted((test_data / "edge").rglob("*")) if path.is_file()]
    pictures = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp"}
    for i, path in enumerate(files):
        target = tmp_path / "data" / ("even" if i % 2 else "odd") / f"{i}-{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    command = [sys.executable, "-W", "error", "-c", CHECK, str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    unreadable = next(group for group in found["groups"] if group["kind"] == "unreadable")
    assert found["pictures"]["train"] + found["pictures"]["val"] == sum(p.suffix.lower() in pictures for p in files)
    assert all(one["detail"] for one in unreadable["examples"])
    assert unreadable["count"] < 0.15 * len(files)
    assert sum(found["formats"].values()) + found["unreadable"] == sum(found["pictures"].values())


@pytest.mark.shared
def test_flower_photos_raise_no_false_alarm(test_data: Path) -> None:
    """The one pair is a woman among sunflowers, photographed twice within seconds: looked at."""
    report = check_folder(test_data / "tf_flowers_256")
    assert not report.misleading
    assert report.problems == ()
    (near,) = [one for one in report.found if "duplicate" in one.kind]
    assert [(Path(one.path).stem, Path(one.other).stem) for one in near.findings] == [
        ("4933824130_b99839a80d", "4933824012_8cbfe606f6")
    ]
