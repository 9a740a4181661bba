import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separable.errors import UsageError
from separable.ops.padding import pad_same, resolve_padding, same_padding, to_pair
from tests.ops.oracle import same_border

sides = st.integers(1, 40)


@settings(deadline=None)
@given(side=sides, kernel=st.integers(1, 8), stride=st.integers(1, 5), dilation=st.integers(1, 3))
def test_same_padding_is_tensorflows(side: int, kernel: int, stride: int, dilation: int) -> None:
    before, out = same_border(side, kernel, stride, dilation)
    window = dilation * (kernel - 1) + 1
    got = same_padding(side, kernel, stride, dilation)
    assert got[0] == before
    assert (side + sum(got) - window) // stride + 1 == out
    assert 0 <= got[1] - got[0] <= 1, "the odd pixel goes last"


def test_known_values() -> None:
    assert same_padding(299, 3, 2) == (1, 1)
    assert same_padding(224, 3, 2) == (0, 1)
    assert same_padding(37, 1, 2) == (0, 0)
    assert same_padding(19, 3, 1) == (1, 1)
    assert same_padding(19, 2, 1) == (0, 1)


def test_pad_same_writes_the_value_outside_only() -> None:
    padded = pad_same(torch.zeros(1, 1, 4, 5), 3, 2, value=7.0)
    assert padded.shape == (1, 1, 5, 7)
    assert padded.sum() == 7.0 * (5 * 7 - 4 * 5)
    assert not padded[:, :, :4, 1:6].any()


def test_symmetric_padding_is_left_to_the_operation() -> None:
    x = torch.zeros(1, 1, 5, 5)
    for stride, expected in ((1, (1, 1)), (2, (1, 1))):
        same, inner = resolve_padding(x, 3, stride, 1, "same")
        assert same is x, "no copy where torch can pad by itself"
        assert inner == expected


@pytest.mark.parametrize("padding", ["valid", "SAME", -1, (0, -1)])
def test_bad_padding_is_refused(padding: object) -> None:
    with pytest.raises(UsageError, match="padding"):
        resolve_padding(torch.zeros(1, 1, 5, 5), 3, 1, 1, padding)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["3", (1, 2, 3), 1.5, None])
def test_bad_pairs_are_refused_by_name(value: object) -> None:
    with pytest.raises(UsageError, match=r"`stride` has no such form\. Got: .*an integer or a pair"):
        to_pair(value, "stride")  # type: ignore[arg-type]
