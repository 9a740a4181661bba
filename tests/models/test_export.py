"""Every network as one graph: without a break, exported for any batch and side, traced, and compiled for real."""

import pytest
import torch

from tests.models.small import NETWORKS, assert_same, make_alive, pictures

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
def test_one_exported_graph_serves_odd_and_even_sides(case: str) -> None:
    """Down to the side whose last map still has two pixels: torch takes a symbolic size for at least 2."""
    model, auto = make_alive(case), torch.export.Dim.AUTO
    shapes = ({0: auto, 2: auto, 3: auto},)
    graph = torch.export.export(model, (torch.randn(2, 3, 160, 192),), dynamic_shapes=shapes).module()
    for batch, height, width in ((1, 107, 108), (3, 150, 111)):
        x = torch.randn(batch, 3, height, width)
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
