"""The demo that finds and names: scanned digits painted onto photographs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from separable.cli.demo_shared import HOME, STOPPED, Setup, configuration, earlier_demo, evenly_spread, free_run
from separable.cli.output import Output

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from separable.models.contract import InputContract
    from separable.runtime.masks import MaskPredictor
    from separable.segmentation.pairs import PairsData, PairSet

__all__ = ["SETUP", "segmentation_demo"]

_SCENES = {"train": 1600, "val": 160}
_SHOWN = 8  # pictures in the table of answers, each with a picture of its own
_ANSWERS = "answers"
_ENLARGED = 2  # so that a person sees an outline of one pixel

# Chosen on a fifth of the digits and other parts of the photographs within the training part; the held-out scenes chose
# nothing.
SETUP = Setup(
    what="scenes of scanned digits on photographs",
    side=64,
    epochs=20,
    options={"width": 0.5, "skips": True},
    recipe="segment",
    network="unet_xception",
    task="segment",
    batch_size=16,
    learning_rate=0.006,
    augment={"random_resized_crop": None, "flip": False, "shift": 0.2, "rotate": 10.0, "zoom": 0.2, "colour": 0.3},
)


def segmentation_demo(seed: int, out: Output) -> bool:
    """Draw, train, measure, predict, say what happened; True if somebody interrupted it."""
    from separable.cli.training import run_training
    from separable.runtime.predictor import load_mask_predictor
    from separable.segmentation.digit_scenes import write_digit_scenes
    from separable.segmentation.pairs import read_pairs

    root = write_digit_scenes(HOME / "data" / "scenes", train=_SCENES["train"], val=_SCENES["val"])
    data = read_pairs(root)
    run = free_run(HOME / "scenes")
    out.say(_opening(data, root, run))
    result = run_training(configuration(SETUP, root, data, run, seed), data, out)
    if result.interrupted:
        out.say(STOPPED)
        return True
    predictor = load_mask_predictor(run)
    _answers(predictor, run, data.val, out)
    out.say(_comparison(result.metrics["val_miou"], data, predictor.contract))
    out.say(_account(data, run))
    out.say(_CLOSING)
    return False


def _opening(data: "PairsData", root: Path, run: Path) -> str:
    first, *_, last = data.class_names[1:]
    lines = [
        f"{len(data.train) + len(data.val):,} {SETUP.what}, as pictures with masks in {root}:",
        f"{len(data.train):,} to learn from, {len(data.val):,} held out, with other digits on other parts of the "
        "photographs.",
        "A narrow U-Net of Xception's modules learns from scratch to say of each pixel whether it is background or",
        f"belongs to a digit, and to which: {first} to {last}.",
        f"The photographs come with scikit-learn, under CC BY 2.0: see {root / 'CREDIT.txt'}.",
    ]
    return "\n".join(lines + earlier_demo(run))


def _answers(predictor: "MaskPredictor", run: Path, held_out: "PairSet", out: Output) -> None:
    """Some held-out scenes through the same predictor that `predict` uses: a table, and a picture of each."""
    from separable.files import make_directory
    from separable.segmentation.png_writer import write_index_png, write_rgb_png
    from separable.segmentation.scores import PixelCounts

    chosen = evenly_spread(len(held_out), _SHOWN)
    paths = [held_out.root / held_out.paths[index] for index in chosen]
    make_directory(run / _ANSWERS)
    rows = []
    for index, answer in zip(chosen, predictor(paths), strict=True):
        picture, truth = held_out.read(index)
        counts = PixelCounts(len(held_out.class_names), tolerance=None)
        counts.add(truth, answer.mask)
        stem = Path(held_out.paths[index]).stem
        write_index_png(run / _ANSWERS / f"{stem}_mask.png", [answer.mask], truth.shape, held_out.colours)
        shown = _side_by_side(picture, truth, answer.mask, held_out.colours)
        write_rgb_png(run / _ANSWERS / f"{stem}_shown.png", [shown], shown.shape[:2])
        names = (_named(mask, held_out.class_names) for mask in (truth, answer.mask))
        rows.append((held_out.paths[index], *names, f"{100 * counts.scores().mean_iou:.1f} %"))
    out.say(
        "\nSome of the held-out scenes, through `separable predict`: what each shows, what was found, and the mean IoU"
    )
    out.say("of the one scene, in which a class that is not there counts as 0 however few pixels are taken for it:\n")
    out.table(("picture", "shows", "found", "mean IoU"), rows, right=(3,))
    out.say(f"\nThe same as pictures, each with its truth and its answer: {run / _ANSWERS}")


def _named(mask: "NDArray[Any]", names: tuple[str, ...]) -> str:
    """The classes that cover at least a hundredth of the picture, but the background."""
    import numpy as np

    counts = np.bincount(mask.ravel(), minlength=len(names))
    return " ".join(name for name, count in list(zip(names, counts, strict=True))[1:] if count >= 0.01 * mask.size)


def _side_by_side(
    picture: "NDArray[Any]", truth: "NDArray[Any]", answer: "NDArray[Any]", colours: tuple[tuple[int, int, int], ...]
) -> "NDArray[Any]":
    """The picture, the truth over it, the answer over it, and where the two disagree."""
    import numpy as np

    from separable.segmentation.views import disagreement, overlay

    views = (picture, overlay(picture, truth, colours), overlay(picture, answer, colours), disagreement(truth, answer))
    white = np.full((_ENLARGED * len(picture), 4, 3), 255, np.uint8)
    parts = [part for view in views for part in (_enlarged(view), white)]
    return np.concatenate(parts[:-1], axis=1)


def _enlarged(view: "NDArray[Any]") -> "NDArray[Any]":
    return view.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1)


def _comparison(miou: float, data: "PairsData", contract: "InputContract") -> str:
    """What the score is worth: beside what needs no learning, and what colour alone can tell."""
    import numpy as np

    from separable.segmentation.colour_rule import fit_colour_rule, score_rule

    classes = len(data.class_names)
    by_colour = fit_colour_rule(_as_seen(data.train, contract), classes)
    held_out = list(_as_seen(data.val, contract))
    nothing = score_rule(lambda picture: np.zeros(picture.shape[:2], np.int16), held_out, classes)
    colour = score_rule(by_colour, held_out, classes)
    return (
        f"\nWhat it is worth: on the {len(data.val):,} held-out scenes the network has a mean IoU of "
        f"{100 * miou:.1f} %, the mean over background and digits of the overlap between truth and answer. Calling "
        f"everything background has {100 * nothing.mean_iou:.1f} %, though {100 * nothing.pixel_accuracy:.1f} % of the "
        "pixels are then right: that is why nobody counts those. The best rule by the colour of a pixel alone, learnt "
        f"from the same {len(data.train):,} scenes, has {100 * colour.mean_iou:.1f} %."
    )


def _as_seen(pairs: "PairSet", contract: "InputContract") -> "Iterator[tuple[NDArray[Any], NDArray[Any]]]":
    """The very pixels and masks that the network is measured on."""
    from separable.data.loader import LoaderConfig
    from separable.segmentation.loader import eval_pair_batches

    for batch in eval_pair_batches(pairs, contract, LoaderConfig(batch_size=32)):
        yield from zip(batch.images.permute(0, 2, 3, 1).numpy(), batch.labels.numpy(), strict=True)


def _account(data: "PairsData", run: Path) -> str:
    """What happened, in a paragraph."""
    cost = json.loads((run / "profile.json").read_text(encoding="utf-8"))
    network = f"a narrow `unet_xception` ({cost['parameters']:,} parameters; the full one has 2.06 million)"
    return (
        f"\nWhat happened: pictures and masks were checked; {network} saw {len(data.train):,} of them {SETUP.epochs} "
        "times, each time shifted, turned and lit a little differently, masks and pictures together, and was measured "
        f"on the {len(data.val):,} it never saw. The model, every figure and the report are in {run}."
    )


_CLOSING = """
Now with pictures of your own: beside each picture a mask of the same name, a PNG whose values are the classes,
  cells/images/1.jpg ...   cells/masks/1.png ...
and what the values (or colours) mean in cells/classes.yaml:
  classes: [{name: background, value: 0}, {name: nucleus, value: 1}]
Then
  separable check cells/                             do pictures and masks fit?
  separable train cells/ --task segment --dry-run    what would it take?
  separable train cells/ --task segment              learn it, and leave a report
  separable predict runs/cells new.jpg --out found   write its mask"""
