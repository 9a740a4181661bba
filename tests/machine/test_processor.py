"""The processor is read right from files of other machines, and from none at all."""

from pathlib import Path

from separable.machine.processor import read_processor

TWO_PACKAGES = "".join(
    f"processor\t: {n}\nmodel name\t: Xeon\nphysical id\t: {n // 4}\ncore id\t\t: {n % 2}\n"
    "flags\t\t: fpu avx2 avx512f amx_bf16\n\n"
    for n in range(8)
)


def machine(tmp_path: Path, cpuinfo: str, memory_max: str = "max", cpu_max: str = "max 100000") -> tuple[Path, Path]:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    (tmp_path / "meminfo").write_text("MemTotal:       16000000 kB\nMemFree: 1 kB\n")
    (tmp_path / "memory.max").write_text(f"{memory_max}\n")
    (tmp_path / "cpu.max").write_text(f"{cpu_max}\n")
    return tmp_path, tmp_path


def test_hyper_threads_are_not_cores(tmp_path: Path) -> None:
    processor = read_processor(*machine(tmp_path, TWO_PACKAGES))
    assert processor.physical_cores == 4
    assert processor.model == "Xeon"
    assert processor.features == ("avx2", "avx512", "amx_bf16")
    assert processor.memory_bytes == 16_000_000 * 1024


def test_a_container_has_what_it_was_given(tmp_path: Path) -> None:
    processor = read_processor(*machine(tmp_path, TWO_PACKAGES, str(2**30), "100000 100000"))
    assert processor.memory_bytes == 2**30
    assert processor.usable_cores == 1


def test_arm_names_its_features_otherwise(tmp_path: Path) -> None:
    processor = read_processor(*machine(tmp_path, "processor : 0\nFeatures : fp asimd bf16 sve\n"))
    assert processor.features == ("neon", "sve", "arm_bf16")
    assert processor.physical_cores == processor.logical_cores


def test_nothing_to_read_is_no_error(tmp_path: Path) -> None:
    processor = read_processor(tmp_path / "no", tmp_path / "no")
    assert processor.logical_cores >= processor.usable_cores >= 1
