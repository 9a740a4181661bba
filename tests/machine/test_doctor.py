"""The doctor finds what is broken, and only that."""

import json
import sys
from pathlib import Path

import pytest

from separable.machine import doctor
from separable.machine.doctor import Finding, diagnose
from separable.machine.known_bad import known_bad, version_tuple


def found(subject: str, findings: tuple[Finding, ...]) -> Finding:
    return next(finding for finding in findings if finding.subject == subject)


def test_this_installation_is_healthy(tmp_path: Path) -> None:
    diagnosis = diagnose(tmp_path / "cache")
    assert diagnosis.healthy
    assert json.loads(json.dumps(diagnosis.to_json()))["healthy"] is True
    text = diagnosis.to_text()
    for subject in ("torch", "processor", "memory", "allocator", "cache folder"):
        assert subject in text
    assert not (tmp_path / "cache").exists(), "looking must not create anything"


def test_a_torch_that_does_not_import_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> object:
        if name == "torch":
            raise OSError("libtorch_cpu.so: cannot open shared object file")
        return sys

    monkeypatch.setattr(doctor, "import_module", refuse)
    diagnosis = diagnose(tmp_path)
    assert not diagnosis.healthy
    torch = found("torch", diagnosis.findings)
    assert torch.level == "problem"
    assert "libtorch_cpu.so" in torch.text
    assert torch.fix == "pip install --force-reinstall torch"
    assert "Something is wrong with: torch." in diagnosis.to_text()


def test_a_missing_extra_is_no_problem_and_names_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.metadata.version

    def version(name: str) -> str:
        if name == "simplejpeg":
            raise doctor.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    diagnosis = diagnose(tmp_path)
    assert diagnosis.healthy
    fast = found("fast", diagnosis.findings)
    assert (fast.level, fast.fix) == ("absent", 'pip install "separable[fast]"')


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    finding = found("cache folder", diagnose(Path("/proc/separable")).findings)
    assert finding.level == "warning"
    assert "SEPARABLE_CACHE" in (finding.fix or "")


@pytest.mark.parametrize(
    ("versions", "subjects", "severe"),
    [
        ({"torch": "2.13.0+cpu", "torchvision": "0.28.0", "python": "3.11.7", "numpy": "2.4.6"}, [], False),
        ({"torch": "2.13.0", "torchvision": "0.27.1"}, ["torchvision"], False),
        ({"torch": "2.10.0"}, ["torch"], True),
        ({"torch": "2.14.0.dev20270101"}, ["torch"], False),
        ({"cudnn": "9.10.2"}, ["cudnn"], False),
        ({"cudnn": "9.15.0"}, [], False),
        ({"python": "3.14.0rc1"}, ["python"], False),
        ({"numpy": "1.24.4"}, ["numpy"], True),
    ],
)
def test_known_bad_pairs(versions: dict[str, str], subjects: list[str], severe: bool) -> None:
    entries = known_bad(versions)
    assert [entry.subject for entry in entries] == subjects
    assert all(entry.severe is severe and entry.fix for entry in entries)


def test_version_tuple_ignores_local_tags_and_pre_releases() -> None:
    assert version_tuple("2.13.0+cu129") == (2, 13, 0)
    assert version_tuple("3.14.0rc1") == (3, 14, 0)
    assert version_tuple("2.14.0.dev20270101") == (2, 14, 0)


def test_more_threads_than_cores_is_a_warning() -> None:
    assert doctor._threads(2, 2).level == "ok"
    crowded = doctor._threads(32, 2)
    assert (crowded.level, crowded.fix) == ("warning", "Set OMP_NUM_THREADS=2")


def test_little_shared_memory_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = type("usage", (), {"total": 64 * 2**20})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    (finding,) = doctor._shared_memory(tmp_path)
    assert finding.level == "warning"
    assert "--shm-size" in (finding.fix or "")
