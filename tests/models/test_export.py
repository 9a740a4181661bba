"""Every network as one graph: without a break, exported for any batch and side, traced, and compiled for real."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from separable.models import ImageModel, export_graph
from tests.models.small import NETWORKS, assert_same, each_network, make, make_alive, pictures

SAME_CODE = ("resnet101", "resnet152", "xception41", "xception71")  # as resnet50 and xception65, but for a count
CASES = [pytest.param(case, marks=pytest.mark.slow) if case in SAME_CODE else case for case in NETWORKS]
DILATED = ("xception41-dilated", "xception-dilated")


@pytest.mark.compiles
@pytest.mark.parametrize("case", [*CASES, *DILATED])
def test_compiles_without_a_graph_break(case: str) -> None:
    model = make_alive(case)
    x = pictures(model)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.no_grad():
        assert_same(compiled(x), model(x))
    torch.compiler.reset()


@pytest.mark.compiles
@pytest.mark.parametrize("case", [*CASES, *DILATED])
def test_one_exported_graph_serves_every_size(case: str) -> None:
    """Odd and even sides, down to the smallest, whose last map is often a single pixel."""
    model = make_alive(case)
    smallest = model.input_contract.min_size
    graph = export_graph(model, (160, 192)).module()
    for batch, height, width in ((1, 107, 108), (3, 150, 111), (1, smallest, smallest), (2, smallest + 1, 224)):
        x = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            assert_same(graph(x), model(x))


@pytest.mark.compiles
@pytest.mark.parametrize(("case", "smallest"), [("mobilenet_v1", 63), ("squeezenet", 37)])
def test_torchs_own_export_takes_a_symbolic_size_for_at_least_2(case: str, smallest: int) -> None:
    """Why `export_graph` is there, and the sides that docs/numerics.md gives. If this fails, it has become needless."""
    model, auto = make(case).eval(), torch.export.Dim.AUTO
    shapes = ({0: auto, 2: auto, 3: auto},)
    graph = torch.export.export(model, (torch.randn(2, 3, 160, 192),), dynamic_shapes=shapes).module()
    with torch.no_grad():
        assert graph(torch.randn(1, 3, smallest, smallest)).shape == (1, 5)
        with pytest.raises(AssertionError, match=r"Guard failed: .* != 1"):
            graph(torch.randn(1, 3, smallest - 1, smallest - 1))


class SmallestMap(TorchDispatchMode):
    """The smallest side of any map that is computed inside."""

    side = 10**9

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        first = result[0] if isinstance(result, tuple) else result
        if first.dim() == 4:
            self.side = min(self.side, *first.shape[2:])
        return result


def smallest_map(model: ImageModel, side: int) -> int:
    with SmallestMap() as seen, torch.no_grad():
        model.forward_features(torch.empty(1, 3, side, side, device="meta"))
    return seen.side


@each_network
def test_the_sides_of_the_table(case: str) -> None:
    """docs/numerics.md: the smallest side, and the smallest at which every map has two pixels."""
    page = (Path(__file__).parents[2] / "docs" / "numerics.md").read_text()
    row = re.search(rf"^\|[^|]*`{case}`[^|]*\| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert row, f"{case} has no row"
    smallest, exportable = (int(side) for side in row.groups())
    model = make(case).to("meta").eval()
    assert smallest == model.input_contract.min_size
    assert next(side for side in range(smallest, 200) if smallest_map(model, side) > 1) == exportable
    assert smallest_map(model, exportable + 1) > 1


@pytest.mark.compiles
def test_a_graph_exported_where_the_last_map_is_a_pixel_serves_larger_pictures() -> None:
    model = make("squeezenet").eval()
    graph = export_graph(model, (30, 41)).module()
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert_same(graph(x), model(x))


@pytest.mark.compiles
def test_inductor_compiles_one() -> None:
    model = make_alive("mobilenet_v1", shallow=True)
    x = pictures(model, 1)
    compiled = torch.compile(model, fullgraph=True)
    with torch.no_grad():
        assert_same(compiled(x), model(x))
    torch.compiler.reset()


@pytest.mark.parametrize("case", ["inception_v3", "mobilenet_v1", "squeezenet", "xception"])
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit.*:DeprecationWarning")
def test_a_traced_graph_serves_odd_and_even_sides(case: str) -> None:
    """torch.jit.trace hands out sides that are tensors. One network for each rule of borders."""
    model = make_alive(case)
    with torch.no_grad():
        traced = torch.jit.trace(model, torch.randn(1, 3, 97, 108))
        for side in ((97, 108), (108, 111)):
            x = torch.randn(2, 3, *side)
            assert_same(traced(x), model(x))
