"""Fine-tuning MobileNet 0.5/160 from its real ImageNet weights on flower photos, against logistic regression.

    python benchmarks/finetune_flowers.py                     # five seeds on the 200 held-out photos, each touched once
    python benchmarks/finetune_flowers.py --cross-validate 3  # the same recipe, on the training photos alone

The peer is scikit-learn's logistic regression on the frozen network's pooled features, its C chosen by cross-validation
on the training photos. Both see the same photos; accuracy is compared in pairs, over seeds and over photos.
Needs SEPARABLE_TEST_DATA (tf_flowers_256 and the Coral weights).
"""

import argparse
import dataclasses
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold

from separable import create_model
from separable.analysis.statistics import exact_mcnemar, paired_bootstrap, paired_t_interval
from separable.data.folder import FolderData, PictureSet, read_folder
from separable.data.loader import LoaderConfig
from separable.training import train
from separable.training.config import MachineConfig, ModelConfig, TrainConfig
from separable.training.evaluate import evaluate
from separable.training.recipes import RECIPES
from separable.weights import load_model

LOADER = LoaderConfig(batch_size=50, workers=1)
Rights = npt.NDArray[np.float64]


def subset(pictures: PictureSet, chosen: npt.NDArray[np.int64]) -> PictureSet:
    """The pictures at these indices."""
    return dataclasses.replace(
        pictures, paths=tuple(pictures.paths[i] for i in chosen), labels=pictures.labels[np.asarray(chosen)]
    )


def fine_tune(weights: Path, pictures: PictureSet, held_out: PictureSet, seed: int) -> tuple[Rights, float]:
    """One run of the `finetune` recipe; which of `held_out` it gets right, and its seconds.

    Validation during training looks at fifty training photos: the held-out ones are opened once, at the end.
    """
    seen = subset(pictures, np.arange(0, len(pictures), max(1, len(pictures) // 50)))
    data = FolderData(train=pictures, val=seen, class_names=pictures.class_names, notes=())
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            run=str(Path(folder) / "run"),
            recipe=RECIPES["finetune"],
            model=ModelConfig(name="mobilenet_v1", options={"width": 0.5}, weights=str(weights)),
            machine=MachineConfig(label_check=False, checkpoint_seconds=3600),
            batch_size=RECIPES["finetune"].global_batch,
            seed=seed,
        )
        run = train(config, data).run
        seconds = time.perf_counter() - begun
        answer = evaluate(load_model(run / "model"), held_out, LOADER)
    return (answer.probabilities.argmax(1) == answer.labels).astype(np.float64), seconds


def logistic_regression(weights: Path, pictures: PictureSet, held_out: PictureSet, size: int) -> Rights:
    """Which of `held_out` the linear classifier on frozen features gets right."""
    frozen = create_model("mobilenet_v1", num_classes=1001, weights=str(weights), width=0.5)
    frozen.input_contract = dataclasses.replace(frozen.input_contract, size=(size, size))
    known = evaluate_features(frozen, pictures)
    asked = evaluate_features(frozen, held_out)
    peer = LogisticRegressionCV(
        Cs=np.logspace(-3, 1, 9), cv=5, max_iter=5000, use_legacy_attributes=False, l1_ratios=(0.0,), scoring="accuracy"
    )
    peer.fit(known, pictures.labels)
    return (peer.predict(asked) == held_out.labels).astype(np.float64)


def evaluate_features(model: torch.nn.Module, pictures: PictureSet) -> npt.NDArray[np.float32]:
    """Pooled features (N, F) in the order of the set."""
    features = evaluate(model, pictures, LOADER, with_features=True).features
    assert features is not None
    assert len(features) == len(pictures)
    return features


def held_out_result(weights: Path, data: FolderData, seeds: int) -> dict[str, object]:
    """One training a seed, then the comparison with the peer at the network's own side and at ours."""
    runs = []
    for seed in range(seeds):
        runs.append(fine_tune(weights, data.train, data.val, seed))
        print(f"seed {seed}: {runs[-1][0].mean():.4f} in {runs[-1][1]:.0f} s", flush=True)
    rights = np.stack([right for right, _ in runs])
    size = (RECIPES["finetune"].image_size or (160, 160))[0]
    peers = {side: logistic_regression(weights, data.train, data.val, side) for side in sorted({160, size})}
    result: dict[str, object] = {
        "accuracy_by_seed": rights.mean(1).tolist(),
        "accuracy": float(rights.mean()),
        "seconds_by_run": [seconds for _, seconds in runs],
    }
    for side, peer in peers.items():
        over_seeds = paired_t_interval(rights.mean(1), np.full(seeds, peer.mean()))
        over_photos = paired_bootstrap(rights.mean(0), peer)
        result[f"logistic_regression_{side}px"] = {
            "accuracy": float(peer.mean()),
            "difference_over_seeds": dataclasses.asdict(over_seeds),
            "difference_over_photos": dataclasses.asdict(over_photos),
            "mcnemar_p_median_seed": float(np.median([exact_mcnemar(right, peer) for right in rights])),
        }
    return result


def cross_validated_result(weights: Path, data: FolderData, folds: int) -> dict[str, object]:
    """The same recipe on folds of the training photos; the held-out ones stay closed."""
    rows = []
    splits = StratifiedKFold(5, shuffle=True, random_state=0).split(np.zeros(len(data.train)), data.train.labels)
    for fold, (known, asked) in list(enumerate(splits))[:folds]:
        right, seconds = fine_tune(weights, subset(data.train, known), subset(data.train, asked), fold)
        rows.append({"fold": fold, "accuracy": float(right.mean()), "seconds": seconds})
        print(rows[-1], flush=True)
    return {"folds": rows, "accuracy": float(np.mean([row["accuracy"] for row in rows]))}


def main() -> None:
    """Run, print, and append the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cross-validate", type=int, default=0, metavar="FOLDS")
    options = parser.parse_args()
    root = os.environ.get("SEPARABLE_TEST_DATA")
    if not root:
        raise SystemExit("finetune_flowers: skipped, SEPARABLE_TEST_DATA names no folder of test data")
    weights = Path(root) / "weights/coral/mobilenet_v1_0.5_160_dequant_float32.npz"
    data = read_folder(Path(root) / "tf_flowers_256")
    if options.cross_validate:
        print(json.dumps(cross_validated_result(weights, data, options.cross_validate), indent=1))
        return
    result = held_out_result(weights, data, options.seeds)
    result |= {"torch": torch.__version__, "machine": platform.machine(), "threads": torch.get_num_threads()}
    target = Path(__file__).parent / "results" / f"{time.strftime('%Y-%m-%d')}-finetune-flowers.json"
    target.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
