"""scikit-learn's two photographs, cut into what may be trained on and what is held out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from separable.errors import MissingExtraError

__all__ = ["CREDIT", "load_photographs"]

CREDIT = """\
china.jpg: a photograph by danielbuechele, www.flickr.com/photos/danielbuechele/6061409035
flower.jpg: a photograph from www.flickr.com/photos/vultilion/6056698931
Both under Creative Commons Attribution 2.0 (creativecommons.org/licenses/by/2.0), as scikit-learn's package says.
Digits: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998, doi 10.24432/C50P49, under Creative
Commons Attribution 4.0 (creativecommons.org/licenses/by/4.0).
The scenes are pieces of the photographs, enlarged or reduced, mirrored and changed in brightness, with digits on them.
"""
"""Whose work the scenes are made of, as its licences want it said."""

Photographs = tuple[NDArray[np.uint8], ...]
_CHINA, _FLOWER = (
    480,
    240,
)  # columns where they are cut: trees and the sky beside a roof, leaves and petals on either side


def load_photographs() -> tuple[Photographs, Photographs]:
    """(to train on, held out): of each photograph, (427, 640, 3), about two thirds and the rest.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_sample_image
    except ImportError as error:
        raise MissingExtraError(
            "The photographs come with scikit-learn, which is not installed", fix='pip install "separable[demo]"'
        ) from error
    china, flower = (_pixels(load_sample_image(name)) for name in ("china.jpg", "flower.jpg"))
    return (china[:, :_CHINA], flower[:, _FLOWER:]), (china[:, _CHINA:], flower[:, :_FLOWER])


def _pixels(image: Any) -> NDArray[np.uint8]:
    return np.asarray(image, np.uint8)
