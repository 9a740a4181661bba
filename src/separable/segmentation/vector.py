"""Masks as polygons for other programs: GeoJSON and COCO, exact to the pixel."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from separable.segmentation.fill import fill
from separable.segmentation.labels import IGNORE, Mask
from separable.segmentation.rle import encode_counts, string_from_counts
from separable.segmentation.trace import Outline, trace

__all__ = [
    "Region",
    "coco_annotations",
    "coco_categories",
    "coco_document",
    "geojson",
    "geojson_features",
    "paint_regions",
    "regions",
]


@dataclass(frozen=True)
class Region:
    """Connected pixels of one class, and their outline in pixel corners (x right, y down)."""

    class_index: int
    outline: Outline


def regions(mask: Mask, *, background: int | None = None) -> list[Region]:
    """Every region of every class; `IGNORE` and the class `background` have none."""
    classes = [int(one) for one in np.unique(mask) if one not in (IGNORE, background)]
    return [Region(index, outline) for index in classes for outline in trace(mask == index)]


def paint_regions(parts: Sequence[Region], size: tuple[int, int], background: int = IGNORE) -> Mask:
    """The inverse of `regions`: a mask of (height, width)."""
    mask = np.full(size, background, np.int16)
    for index in sorted({part.class_index for part in parts}):
        rings = [ring.astype(np.float64) for part in parts if part.class_index == index for ring in part.outline.rings]
        mask[fill(rings, size)] = index
    return mask


def geojson(parts: Sequence[Region], class_names: Sequence[str]) -> dict[str, Any]:
    """A FeatureCollection (RFC 7946) of `geojson_features`."""
    return {"type": "FeatureCollection", "features": list(geojson_features(parts, class_names))}


def geojson_features(
    parts: Sequence[Region], class_names: Sequence[str], **properties: Any
) -> Iterator[dict[str, Any]]:
    """One Polygon a region, outer ring first, then its holes.

    Coordinates are pixels from the top left corner, x right and y down, not degrees: programs that draw GeoJSON on maps
    need to be told so. `properties` has the class, its index, the number of pixels, and what is given here.
    """
    for part in parts:
        yield {
            "type": "Feature",
            "properties": {
                **properties,
                "class": class_names[part.class_index],
                "index": part.class_index,
                "pixels": part.outline.area,
            },
            "geometry": {
                "type": "Polygon",
                "coordinates": [[*ring.tolist(), ring[0].tolist()] for ring in part.outline.rings],
            },
        }


def coco_categories(class_names: Sequence[str], background: int | None) -> dict[int, int]:
    """The category of each class index, but of the background, which has none: the index itself where the background
    is class 0, else one more. No category is 0, which readers take for a background."""
    first = 0 if background == 0 else 1
    return {index: index + first for index in range(len(class_names)) if index != background}


def coco_annotations(
    parts: Sequence[Region], size: tuple[int, int], image_id: int, categories: Mapping[int, int], first_id: int = 1
) -> Iterator[dict[str, Any]]:
    """One annotation a region: an outline, or run lengths where it has holes, which COCO's outlines cannot have.

    `categories` is what `coco_categories` gives; the regions are of classes in it.
    """
    for number, part in enumerate(parts, start=first_id):
        outer = part.outline.outer
        (left, top), (right, bottom) = outer.min(axis=0).tolist(), outer.max(axis=0).tolist()
        segmentation: Any = [outer.ravel().tolist()]
        if part.outline.holes:
            counts = encode_counts(fill([ring.astype(np.float64) for ring in part.outline.rings], size))
            segmentation = {"size": [*size], "counts": string_from_counts(counts)}
        yield {
            "id": number,
            "image_id": image_id,
            "category_id": categories[part.class_index],
            "segmentation": segmentation,
            "area": part.outline.area,
            "bbox": [left, top, right - left, bottom - top],
            "iscrowd": 0,
        }


def coco_document(
    masks: Sequence[tuple[str, Mask]], class_names: Sequence[str], *, background: int | None = 0
) -> dict[str, Any]:
    """An instances file of (file name, mask) pairs, which `coco.read_coco` reads."""
    numbers = coco_categories(class_names, background)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (name, mask) in enumerate(masks, start=1):
        size = (mask.shape[0], mask.shape[1])
        images.append({"id": image_id, "file_name": name, "height": size[0], "width": size[1]})
        annotations += coco_annotations(
            regions(mask, background=background), size, image_id, numbers, first_id=len(annotations) + 1
        )
    categories = [{"id": number, "name": class_names[index]} for index, number in numbers.items()]
    return {"images": images, "annotations": annotations, "categories": categories}
