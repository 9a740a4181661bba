"""JPEG to an augmented 299 x 299 uint8 tensor on one core: ours beside Pillow, OpenCV, simplejpeg and torchvision.

    python benchmarks/pipeline.py [--rounds 25] [--pictures 32]

Everybody decodes the same 500 x 375 JPEGs of about 70 KB, made here, cuts the same random region, resizes it
bilinearly and mirrors half of them. The peers are told region and mirror; ours draws them itself. Contestants take
turns in one process; the figure is the median over rounds of the processor time of one thread, which other work on
the machine disturbs less than the clock does. The clock's medians are in the result file too.

First the gate: our pixels may differ from Pillow's, for the same region, by 2 levels at most.
"""

import argparse
import datetime
import importlib.metadata
import importlib.util
import io
import json
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from separable.data.augment import AugmentConfig, Box, augment_file, crop_box
from separable.data.random import Key, uniforms
from separable.machine.environment import describe_environment
from separable.models.contract import InputContract

SIZE = 299
CONFIG = AugmentConfig()
CONTRACT = InputContract((SIZE, SIZE), (0.5,) * 3, (0.5,) * 3)
GATE_LEVELS = 2
RESULTS = Path(__file__).parent / "results"
Contestant = Callable[[bytes, Box, bool, int], torch.Tensor]


def make_pictures(count: int) -> list[bytes]:
    """Structured noise at several scales, with the quality that comes nearest below 71,000 bytes."""
    pictures = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        total = np.zeros((375, 500, 3))
        for cells, weight in ((4, 60.0), (16, 40.0), (64, 30.0), (250, 18.0)):
            small = rng.normal(size=(cells * 3 // 4, cells, 3)).astype(np.float32)
            for channel in range(3):
                layer = Image.fromarray(small[..., channel]).resize((500, 375), Image.Resampling.BICUBIC)
                total[..., channel] += weight * np.asarray(layer)
        image = Image.fromarray(np.clip(total + 128, 0, 255).astype(np.uint8))
        for quality in range(99, 50, -1):
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=quality)
            if buffer.tell() < 71_000:
                break
        pictures.append(buffer.getvalue())
    return pictures


def pillow(data: bytes, box: Box, flip: bool, _: int) -> torch.Tensor:
    region = (box.left, box.top, box.left + box.width, box.top + box.height)
    image = Image.open(io.BytesIO(data)).convert("RGB").crop(region).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def ours(data: bytes, _box: Box, _flip: bool, sample: int) -> torch.Tensor:
    return augment_file(data, CONTRACT, CONFIG, Key(0, 0, sample))


def ours_on_pillow(data: bytes, _box: Box, _flip: bool, sample: int) -> torch.Tensor:
    return augment_file(data, CONTRACT, CONFIG, Key(0, 0, sample), decoder="pillow")


def with_opencv() -> dict[str, Contestant]:
    """OpenCV's bilinear resize is not antialiased: it does less work, and aliases where it shrinks."""
    import cv2

    cv2.setNumThreads(1)

    def finish(pixels: Any, box: Box, flip: bool) -> torch.Tensor:
        crop = pixels[box.top : box.top + box.height, box.left : box.left + box.width]
        resized = cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        return torch.from_numpy(cv2.flip(resized, 1) if flip else resized).permute(2, 0, 1)

    def opencv(data: bytes, box: Box, flip: bool, _: int) -> torch.Tensor:
        return finish(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), box, flip)

    found: dict[str, Contestant] = {"opencv": opencv}
    if importlib.util.find_spec("simplejpeg"):
        import simplejpeg

        found["simplejpeg + opencv"] = lambda data, box, flip, _: finish(simplejpeg.decode_jpeg(data), box, flip)
    return found


def with_torchvision() -> dict[str, Contestant]:
    # Beside a torch from another index its compiled operators are absent, and importing it needs their schemas.
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision.transforms.v2 import functional

    def on_pil(data: bytes, box: Box, flip: bool, _: int) -> torch.Tensor:
        image: Any = Image.open(io.BytesIO(data)).convert("RGB")
        image = functional.resized_crop(image, box.top, box.left, box.height, box.width, [SIZE, SIZE])
        return functional.pil_to_tensor(functional.horizontal_flip(image) if flip else image)

    def on_tensors(data: bytes, box: Box, flip: bool, _: int) -> torch.Tensor:
        image = functional.pil_to_tensor(Image.open(io.BytesIO(data)).convert("RGB"))
        image = functional.resized_crop(image, box.top, box.left, box.height, box.width, [SIZE, SIZE])
        return functional.horizontal_flip(image) if flip else image

    on_pil.library = library  # type: ignore[attr-defined]  # the schemas go with the object that defined them
    return {"torchvision v2 on PIL": on_pil, "torchvision v2 on tensors": on_tensors}


def find_contestants() -> dict[str, Contestant]:
    found: dict[str, Contestant] = {"pillow": pillow, "separable": ours, "separable, Pillow decoding": ours_on_pillow}
    for package, make in (("cv2", with_opencv), ("torchvision", with_torchvision)):
        if importlib.util.find_spec(package):
            found |= make()
        else:
            print(f"{package} is not installed: its contestants are left out")
    return found


def differences(contestants: dict[str, Contestant], work: list[tuple[bytes, Box, bool, int]]) -> dict[str, list[float]]:
    """Greatest and mean difference from Pillow's pixels, in levels."""
    result = {}
    for name, run in contestants.items():
        apart = [(run(*item).int() - pillow(*item).int()).abs().float() for item in work]
        result[name] = [max(float(d.max()) for d in apart), statistics.mean(float(d.mean()) for d in apart)]
    for name in ("separable", "separable, Pillow decoding"):
        if result[name][0] > GATE_LEVELS:
            raise SystemExit(f"gate: {name} differs from Pillow by {result[name][0]} levels, more than {GATE_LEVELS}")
    return result


def measure(
    contestants: dict[str, Contestant], work: list[tuple[bytes, Box, bool, int]], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Seconds a picture, one value a round, by the thread's processor time and by the clock."""
    times: dict[str, dict[str, list[float]]] = {name: {"cpu": [], "clock": []} for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            cpu, clock = time.thread_time(), time.perf_counter()
            for item in work:
                run(*item)
            if number:  # the first round warms up
                times[name]["cpu"].append((time.thread_time() - cpu) / len(work))
                times[name]["clock"].append((time.perf_counter() - clock) / len(work))
    return times


def summarise(times: dict[str, dict[str, list[float]]], apart: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Per contestant: images a second and the ratio to Pillow, as the median over rounds of the round's own ratio."""
    rows = {}
    for name, series in times.items():
        row: dict[str, float] = {"most_levels_from_pillow": apart[name][0], "mean_levels_from_pillow": apart[name][1]}
        for kind, values in series.items():
            ratios = [base / value for base, value in zip(times["pillow"][kind], values, strict=True)]
            row[f"images_per_second_{kind}"] = 1 / statistics.median(values)
            row[f"times_pillow_{kind}"] = statistics.median(ratios)
        rows[name] = row
    return rows


def print_table(rows: dict[str, dict[str, float]]) -> None:
    print(f"{'':28}{'images/s':>10}{'x Pillow':>10}{'(clock)':>10}{'levels from Pillow: most, mean':>34}")
    for name, row in sorted(rows.items(), key=lambda item: item[1]["times_pillow_cpu"]):
        print(
            f"{name:28}{row['images_per_second_cpu']:10.0f}{row['times_pillow_cpu']:10.2f}{row['times_pillow_clock']:10.2f}"
            f"{row['most_levels_from_pillow']:26.0f}{row['mean_levels_from_pillow']:8.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=6, help="augmentations of each picture in a round")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pictures = make_pictures(arguments.pictures)
    assert CONFIG.random_resized_crop is not None
    work = []
    for sample in range(arguments.pictures * arguments.repeats):
        key = Key(0, 0, sample)
        box = crop_box((375, 500), CONFIG.random_resized_crop, CONFIG.crop_ratio, key)
        work.append((pictures[sample % len(pictures)], box, uniforms(key, "flip", 1)[0] < 0.5, sample))
    contestants = find_contestants()
    rows = summarise(measure(contestants, work, arguments.rounds), differences(contestants, work))
    print_table(rows)
    environment = describe_environment(
        peers={
            name: importlib.metadata.version(name) for name in ("opencv-python-headless", "torchvision") if _has(name)
        }
    )
    content = {
        "what": f"500x375 JPEG, {statistics.mean(map(len, pictures)):.0f} bytes, to augmented {SIZE} uint8, one thread",
        "rounds": arguments.rounds,
        "images_a_round": len(work),
        "contestants": rows,
        "environment": environment,
    }
    slug = re.sub(r"[^a-z0-9]+", "-", str(environment["processor"]["model"]).lower()).strip("-")
    path = RESULTS / f"{datetime.date.today().isoformat()}-pipeline-{slug}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"written to {path}")


def _has(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
