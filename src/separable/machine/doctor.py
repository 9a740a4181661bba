"""What `separable doctor` says: is this installation whole, what can this machine do, what is worth installing."""

import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path

from separable.download import cache_directory
from separable.machine.known_bad import KnownBad, known_bad
from separable.machine.processor import read_processor

__all__ = ["Diagnosis", "Finding", "diagnose"]

_CORE = ("torch", "numpy", "pillow", "safetensors", "h5py", "typer", "rich", "pyyaml")
_MODULES = {"pillow": "PIL.Image", "pyyaml": "yaml", "safetensors": "safetensors.torch"}
# What each extra is for; the packages behind it are read from this package's own metadata.
_EXTRAS = {
    "fast": "JPEG decoding through libjpeg-turbo",
    "demo": "the scanned digits of `separable demo`",
    "shards": "predictions as Parquet",
}
_MARKS = {"ok": "ok", "absent": "--", "warning": "!", "problem": "X"}
_GIB = 1024**3


@dataclass(frozen=True)
class Finding:
    """One line: `level` is ok, absent (optional and not there), warning or problem (something really wrong)."""

    section: str
    subject: str
    level: str
    text: str
    fix: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """Everything found, in the order it is printed."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        return not any(finding.level == "problem" for finding in self.findings)

    def to_json(self) -> dict[str, object]:
        return {"healthy": self.healthy, "findings": [asdict(finding) for finding in self.findings]}

    def to_text(self) -> str:
        width = max(len(finding.subject) for finding in self.findings)
        lines: list[str] = []
        section = ""
        for finding in self.findings:
            if finding.section != section:
                section = finding.section
                lines += ["", section] if lines else [section]
            lines.append(f"  {_MARKS[finding.level]:<2}  {finding.subject:<{width}}  {finding.text}")
            if finding.fix:
                lines.append(f"{'':{width + 8}}-> {finding.fix}")
        return "\n".join([*lines, "", self._verdict()])

    def _verdict(self) -> str:
        problems = [finding.subject for finding in self.findings if finding.level == "problem"]
        warnings = [finding.subject for finding in self.findings if finding.level == "warning"]
        if problems:
            return f"Something is wrong with: {', '.join(problems)}."
        return f"Usable; worth a look: {', '.join(warnings)}." if warnings else "Everything is in order."


def diagnose(cache_folder: Path | None = None, work_folder: Path = Path()) -> Diagnosis:
    """Look at software, machine and storage. Imports the core packages (a broken one is a finding), changes nothing."""
    cache = cache_folder or cache_directory()
    versions = _installed_versions()
    findings = [
        *_software(versions),
        *_machine(),
        *_gpu(versions),
        _storage("cache folder", cache),
        _storage("this folder", work_folder.resolve()),
        *_shared_memory(Path("/dev/shm")),  # noqa: S108 - looked at, never written
        *_extras(versions),
    ]
    bad = {entry.subject: entry for entry in known_bad(versions)}
    marked = [_mark(finding, bad) if finding.section == "Software" else finding for finding in findings]
    named = {finding.subject for finding in marked}
    marked += [
        Finding("Known trouble", name, "problem" if entry.severe else "warning", entry.what, entry.fix)
        for name, entry in bad.items()
        if name not in named
    ]
    return Diagnosis(tuple(marked))


def _mark(finding: Finding, bad: Mapping[str, KnownBad]) -> Finding:
    entry = bad.get(finding.subject)
    if entry is None or finding.level == "problem":
        return finding
    level = "problem" if entry.severe else "warning"
    return Finding(finding.section, finding.subject, level, f"{finding.text}: {entry.what}", entry.fix)


def _installed_versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in {*_CORE, "torchvision", "separable", *(name for names in _extra_packages().values() for name in names)}:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _extra_packages() -> dict[str, list[str]]:
    """Extra -> distributions, from this package's metadata: the extras' one home is pyproject.toml."""
    packages: dict[str, list[str]] = {name: [] for name in _EXTRAS}
    for requirement in metadata.requires("separable") or []:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if name and extra and extra[1] in packages:
            packages[extra[1]].append(name[0].lower())
    return packages


def _software(versions: Mapping[str, str]) -> Iterator[Finding]:
    yield Finding("Software", "python", "ok", f"{versions['python']} at {sys.executable}")
    yield Finding("Software", "separable", "ok", versions.get("separable", "not installed as a package"))
    for name in _CORE:
        if name not in versions:
            yield Finding("Software", name, "problem", "not installed", f"pip install {name}")
            continue
        try:
            import_module(_MODULES.get(name, name))
        except Exception as error:
            text = f"{versions[name]} does not import: {type(error).__name__}: {error}"
            yield Finding("Software", name, "problem", text, f"pip install --force-reinstall {name}")
        else:
            yield Finding("Software", name, "ok", versions[name])


def _machine() -> Iterator[Finding]:
    processor = read_processor()
    cores = f"{processor.physical_cores} cores, {processor.usable_cores} usable here"
    yield Finding("Machine", "system", "ok", f"{platform.system()} {platform.release()}, {processor.architecture}")
    yield Finding("Machine", "processor", "ok", f"{processor.model}, {cores}")
    yield Finding("Machine", "features", "ok", " ".join(processor.features) or "none of the ones that matter")
    gib = processor.memory_bytes / _GIB
    low = 0 < gib < 2
    fix = "Use a small --batch, or give the container more memory" if low else None
    yield Finding("Machine", "memory", "warning" if low else "ok", f"{gib:.1f} GiB" if gib else "unknown", fix)
    yield Finding("Machine", "allocator", "ok", _allocator())
    torch = sys.modules.get("torch")
    if torch is not None:
        yield _threads(torch.get_num_threads(), processor.usable_cores)


def _threads(threads: int, cores: int) -> Finding:
    """More threads than a container gives cores wait for one another; training sets them right, other code does not."""
    if threads <= cores:
        return Finding("Machine", "threads", "ok", f"{threads} in torch")
    text = f"{threads} in torch for {cores} usable cores, which is far slower than one each"
    return Finding("Machine", "threads", "warning", text, f"Set OMP_NUM_THREADS={cores}")


def _allocator() -> str:
    if platform.system() != "Linux":
        return f"the one of {platform.system()}"
    name, version = platform.libc_ver()
    if name == "glibc":
        return f"glibc {version}; training tells it to keep freed memory, or big activations cost page faults"
    return "not glibc (musl?); nothing to tune, expect slower training on big activations"


def _gpu(versions: dict[str, str]) -> Iterator[Finding]:
    """GPUs as torch sees them. Adds "cuda" and "cudnn" to `versions` so that known-bad pairs can be found."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_available():
        versions["cuda"] = torch.version.cuda or ""
        cudnn = torch.backends.cudnn.version() or 0
        versions["cudnn"] = f"{cudnn // 10000}.{cudnn // 100 % 100}.{cudnn % 100}"
        for index in range(torch.cuda.device_count()):
            found = torch.cuda.get_device_properties(index)
            text = (
                f"{found.name}, {found.total_memory / _GIB:.0f} GiB, CUDA {versions['cuda']}, cuDNN {versions['cudnn']}"
            )
            yield Finding("Machine", f"gpu {index}", "ok", text)
    elif torch.backends.mps.is_available():
        yield Finding("Machine", "gpu", "ok", "Apple GPU through Metal (mps)")
    elif shutil.which("nvidia-smi"):
        text = f"an NVIDIA driver is here, but torch {torch.__version__} cannot use it"
        yield Finding(
            "Machine", "gpu", "warning", text, "Install a CUDA build of torch that fits the driver (pytorch.org)"
        )
    else:
        yield Finding("Machine", "gpu", "absent", "none; everything runs on the processor")


def _storage(subject: str, folder: Path) -> Finding:
    """Can something be written below `folder`, which need not exist yet, and how much room is there?"""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
        free = shutil.disk_usage(existing).free
    except OSError as error:
        fix = "Set SEPARABLE_CACHE to a writable folder" if subject == "cache folder" else "Change to a writable folder"
        return Finding("Storage", subject, "warning", f"{folder} cannot be written: {error.strerror or error}", fix)
    text = f"{folder}, writable, {free / _GIB:.1f} GiB free"
    if free < _GIB:
        return Finding("Storage", subject, "warning", text, "A training needs about 1 GiB for its checkpoints")
    return Finding("Storage", subject, "ok", text)


def _shared_memory(folder: Path) -> Iterator[Finding]:
    """Data workers hand batches over through shared memory, of which containers give 64 MiB unless asked."""
    if not folder.is_dir():
        return
    total = shutil.disk_usage(folder).total
    if total < _GIB // 2:
        fix = "Start the container with --shm-size 2g, or train with --workers 0"
        yield Finding("Storage", "shared memory", "warning", f"{folder} has {total / 2**20:.0f} MiB", fix)
    else:
        yield Finding("Storage", "shared memory", "ok", f"{folder}, {total / _GIB:.1f} GiB")


def _extras(versions: Mapping[str, str]) -> Iterator[Finding]:
    for extra, packages in _extra_packages().items():
        missing = [name for name in packages if name not in versions]
        if packages and not missing:
            text = ", ".join(f"{name} {versions[name]}" for name in packages)
            yield Finding("Extras", extra, "ok", f"{_EXTRAS[extra]}: {text}")
        else:
            fix = f'pip install "separable[{extra}]"'
            yield Finding("Extras", extra, "absent", f"{_EXTRAS[extra]}: not installed", fix)
