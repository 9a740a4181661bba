"""What an evaluation came to, for people."""

from typing import Any

from separable.cli.output import Output, human_count

__all__ = ["percent", "show_classes", "show_masks"]


def show_classes(output: Output, document: dict[str, Any]) -> None:
    """Of one class a picture."""
    top5 = f", top-5 {percent(document['top5'])}" if len(document["class_names"]) > 5 else ""
    output.show(f"{document['n']:,} pictures: {percent(document['top1'])} right{top5}, loss {document['loss']:.4f}.")
    if said := _averaged(document):
        output.show(said)
    rows = [
        (row["name"], str(row["support"]), percent(row["precision"]), percent(row["recall"]), percent(row["f1"]))
        for row in document["per_class"]
    ]
    output.show()
    output.table(("class", "pictures", "precision", "recall", "f1"), rows, right=(1, 2, 3, 4))
    output.show()
    output.show(_confidence(document["calibration"]))


def show_masks(output: Output, document: dict[str, Any], scale: float | None) -> None:
    """Of one class a pixel. `scale` is that of `measured_at.picture_scale`."""
    from separable.segmentation.measured_at import measured_at

    scores = {name: percent(document[name]) for name in ("miou", "mean_dice", "pixel_accuracy", "boundary_f1")}
    loss = "-" if document["loss"] is None else f"{document['loss']:.4f}"
    output.show(
        f"{document['n']:,} pictures: mean IoU {scores['miou']}, mean Dice {scores['mean_dice']}, "
        f"{scores['pixel_accuracy']} of the pixels right, boundary F1 {scores['boundary_f1']}, loss {loss}."
    )
    columns = ("iou", "dice", "precision", "recall", "boundary_f1")
    rows = [
        (row["name"], *(percent(row[name]) for name in columns), human_count(row["pixels"]))
        for row in document["per_class"]
    ]
    output.show()
    header = ("class", "IoU", "Dice", "precision", "recall", "boundary F1", "pixels")
    output.table(header, rows, right=range(1, len(header)))
    output.show()
    height, width = document["input"]
    output.show(f"{measured_at((height, width), document['boundary_tolerance'], scale)} All pixels count together.")


def _averaged(document: dict[str, Any]) -> str:
    crops, networks = document.get("crops", 1), document.get("ensemble", ())
    over = [f"{crops} crops of each picture"] if crops > 1 else []
    over += [f"{len(networks)} networks: {', '.join(networks)}"] if networks else []
    return f"Answers are means over {' and '.join(over)}." if over else ""


def _confidence(found: dict[str, Any]) -> str:
    if found["ece"] is None:
        return "Too few pictures to say whether the confidences can be believed."
    said = f"Confidences are off by {100 * found['ece']:.1f} points on average"
    before, after = found.get("ece_before_temperature"), found.get("ece_after_temperature")
    if found.get("temperature_reason"):
        said += f"; predict leaves them as they are. {found['temperature_reason'].removesuffix('.')}"
    elif before is not None and after is not None:
        said += (
            f"; on the {found['held_out']:,} pictures that did not choose the correction, by {100 * before:.1f} before"
            f" and {100 * after:.1f} after it"
        )
    target = percent(found["reject_target"])
    if found["reject_threshold"] is None:
        return f"{said}. {found.get('reject_reason') or ''} So --reject has no threshold to go by.".replace("  ", " ")
    if found["reject_threshold"] == 0:
        return f"{said}. With every picture answered, more than {target} are right, so --reject refuses none."
    return f"{said}. Of the answers from {found['reject_threshold']:.2f} on, more than {target} are right."


def percent(value: float | None) -> str:
    """A share, or a dash where it is undefined."""
    return "-" if value is None else f"{100 * value:.1f} %"
