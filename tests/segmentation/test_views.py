"""Masks for eyes, pixel by pixel."""

import numpy as np
import pytest

from separable.errors import UsageError
from separable.segmentation.labels import IGNORE
from separable.segmentation.palette import class_colours
from separable.segmentation.views import coloured_mask, disagreement, disagreement_kinds, overlay
from tests.data.made import structured
from tests.segmentation.made import blobs

COLOURS = class_colours(3)


def test_colours_are_those_of_the_classes() -> None:
    mask = blobs(12, 9)
    mask[0, 0] = IGNORE
    shown = coloured_mask(mask, COLOURS)
    assert shown[0, 0].tolist() == [224, 224, 192]
    assert all((shown[mask == k] == COLOURS[k]).all() for k in range(3))


@pytest.mark.parametrize("opacity", [0.0, 0.4, 1.0])
def test_overlays_mix_the_inside_and_draw_the_outline(opacity: float) -> None:
    picture = structured(20, 30)
    mask = np.zeros((20, 30), np.int16)
    mask[4:16, 5:20] = 2
    mask[0] = IGNORE
    shown = overlay(picture, mask, COLOURS, opacity=opacity)
    outside = mask != 2
    assert np.array_equal(shown[outside], picture[outside])
    inner = np.s_[5:15, 6:19]
    expected = picture[inner] * (1 - opacity) + np.array(COLOURS[2]) * opacity
    assert np.abs(shown[inner].astype(float) - expected).max() <= 1
    assert (shown[4, 5:20] == COLOURS[2]).all()
    everything = overlay(picture, mask, COLOURS, opacity=1.0, background=None)
    assert (everything[2, 2] == COLOURS[0]).all()
    assert np.array_equal(everything[0], picture[0]), "what nobody labelled stays as it is"


def test_disagreement_has_a_colour_for_every_kind() -> None:
    truth = np.array([[0, 1, 1, 0, 1, IGNORE]], np.int16)
    predicted = np.array([[0, 1, 0, 2, 2, 1]], np.int16)
    shown = disagreement(truth, predicted)[0].tolist()
    assert shown[0] == shown[1]
    assert len({tuple(colour) for colour in shown}) == 5
    assert disagreement_kinds(truth, predicted).tolist() == [[0, 0, 1, 2, 3, 4]]
    assert disagreement_kinds(truth, predicted, 1).tolist() == [[0, 0, 2, 3, 2, 4]]
    assert disagreement_kinds(truth, predicted, None).tolist() == [[0, 0, 3, 3, 3, 4]], "nothing to miss or to add"


def test_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match="does not lie over"):
        overlay(structured(4, 5), np.zeros((5, 4), np.int16), COLOURS)
    with pytest.raises(UsageError, match="does not lie over"):
        overlay(structured(4, 5), np.zeros((4, 5), np.int16), COLOURS, opacity=1.5)
    with pytest.raises(UsageError, match="differ in size"):
        disagreement(np.zeros((4, 5), np.int16), np.zeros((5, 4), np.int16))
