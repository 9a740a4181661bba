"""What `evaluate` does with lists of pictures that have several labels each."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from separable.cli.evaluated import percent
from separable.cli.measuring import Measuring, refuse_flips, split_of
from separable.cli.output import Output

if TYPE_CHECKING:
    from separable.data.loader import LoaderConfig
    from separable.models import ImageModel
    from separable.training.config import DataConfig

__all__ = ["TagMeasuring"]

_SHOWN = 20


@final
class TagMeasuring(Measuring):
    """Any number of classes a picture. The run's own weights of classes are those of every set that it is measured on,
    so that its weighted figures can be compared."""

    table = "predictions.csv"

    def __init__(self, flips: str) -> None:
        super().__init__(flips)
        refuse_flips(flips)

    def read(self, root: Path, class_names: tuple[str, ...], stored: "DataConfig | None") -> Any:
        """See `Measuring`."""
        from separable.data.manifest import read_manifest

        return read_manifest(root, class_names=class_names, **split_of(stored))

    def is_whole(self, data: Any) -> bool:
        """See `Measuring`."""
        return bool(data.was_whole)

    def joined(self, train: Any, val: Any) -> Any:
        """See `Measuring`."""
        from separable.data.manifest_set import joined

        return joined(train, val)

    def changed(self, run: Path, held_out: Any) -> str | None:
        """See `Measuring`."""
        from separable.training.own_set import changed_since

        return changed_since(run, held_out, held_out.shown())

    def measure(self, model: "ImageModel", pictures: Any, loader: "LoaderConfig", label: str, run: Path | None) -> Any:
        """See `Measuring`."""
        from separable.data.manifest_classes import CLASS_WEIGHTS, read_class_weights
        from separable.training.tag_evaluation import evaluate_tags

        file = None if run is None else run / CLASS_WEIGHTS
        weights = read_class_weights(file, pictures.class_names, []) if file is not None and file.exists() else None
        return evaluate_tags(model, pictures, loader, weights=weights, set_name=label)

    def lacking(self, run: Path) -> str | None:
        """See `Measuring`."""
        from separable.data.manifest_classes import CLASS_WEIGHTS

        if (run / CLASS_WEIGHTS).exists():
            return None
        return (
            f"{run} has lost its {CLASS_WEIGHTS}: in the weighted figure a class counts by how many of these pictures "
            "show it."
        )

    def show(self, output: Output, document: dict[str, Any]) -> None:
        """See `Measuring`."""
        names = {"MAP@100": "map100", "weighted by class": "weighted_map100", "top tag right": "precision1"}
        scores = ", ".join(f"{words} {percent(document[name])}" for words, name in names.items())
        loss = "-" if document["loss"] is None else f"{document['loss']:.4f}"
        output.show(f"{document['n']:,} pictures with {document['tags']:,} tags: {scores}, loss {loss}.")
        rows = [
            (row["name"], str(row["support"]), percent(row["average_precision"]))
            for row in document["per_class"][:_SHOWN]
        ]
        output.show()
        output.table(("most frequent classes", "pictures", "average precision"), rows, right=(1, 2))
        more = len(document["per_class"]) - len(rows)
        if more:
            output.show(f"and {more} more in evaluation.json")
        found = document.get("decision")
        if found is not None:
            output.show(
                f"\nTags of {found['threshold']:.2f} or more, which is what predict gives: "
                f"{percent(found['precision'])} of them are right, and {percent(found['recall'])} of the labels are "
                "among them."
            )
