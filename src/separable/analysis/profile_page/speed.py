"""How near the layers are to what this machine can do: the slowest beside their limits, all of them in a roofline."""

from separable.analysis.page.html import figure, note, section
from separable.analysis.page.wording import amount, count_of, percent
from separable.analysis.plots import LimitRow, Roof, RooflinePoint, limit_chart, roofline_plot
from separable.analysis.plots.markup import Markup, element
from separable.analysis.profile_page.subject import Subject
from separable.analysis.profile_page.wording import flops, milliseconds, share, size
from separable.analysis.roofline import MeasuredLayer, MeasuredProfile

__all__ = ["limits_section", "roofline_section"]

_SHOWN = 20
_BOUNDS = {"compute": "compute", "memory": "memory", "nothing": ""}


def limits_section(subject: Subject) -> Markup | None:
    """The layers that take longest; None where nothing was measured."""
    measured = subject.measured
    if measured is None:
        return None
    ran = [layer for layer in subject.layers if layer.seconds > 0]
    slowest = sorted(ran, key=lambda layer: -layer.seconds)[:_SHOWN]
    rows = [_limit_row(layer) for layer in slowest]
    together = sum(layer.seconds for layer in slowest) / measured.watched
    lead = (
        "A layer has to do its multiply-adds and to move its bytes. At this machine's measured rates one of the two "
        "takes longer: that is its limit."
    )
    legend = element(
        "ul",
        element("li", element("i", class_="full"), "the limit"),
        element("li", element("i"), "beyond it: what could be gained at most"),
        class_="legend",
    )
    return section(
        "limits",
        "Against the limit",
        lead,
        legend,
        figure(limit_chart(rows, name="milliseconds", write=lambda ms: f"{ms:.3g}")),
        note(
            f"The {count_of(len(slowest), 'layer')} that take longest, together {percent(together)} of the time. At "
            "the right the share of its limit that each reaches, and whether computing or memory sets it. More than "
            "100% means that a layer's data still lay in a cache, which is faster than the memory that the limit is "
            "measured in, or that the measurement of the limit was disturbed."
        ),
    )


def _limit_row(layer: MeasuredLayer) -> LimitRow:
    label = layer.name if layer.call == 0 else f"{layer.name} (call {layer.call + 1})"
    words = (
        f"{label}, {layer.kind}: {milliseconds(layer.seconds)}, limit {milliseconds(layer.limit)} ({layer.bound}); "
        f"{amount(layer.macs)} multiply-adds, {size(layer.bytes)}"
    )
    detail = f"{share(layer.share)} {_BOUNDS[layer.bound]}".strip()
    return LimitRow(label, 1000 * layer.seconds, 1000 * layer.limit, detail, words)


def roofline_section(subject: Subject) -> Markup | None:
    """Every layer with multiply-adds under the machine's roof; None where nothing was measured."""
    measured = subject.measured
    if measured is None:
        return None
    ran = [layer for layer in subject.layers if layer.seconds > 0]
    points = [_point(layer, measured) for layer in ran if layer.macs]
    rest = [layer for layer in ran if not layer.macs]
    ceilings = measured.ceilings
    gemm = ceilings.gemm_flops[measured.precision]
    fastest = max(rate for _, rate in ceilings.copies)
    roof = Roof(f"multiply-adds, {flops(gemm)}", gemm, ceilings.copy_bytes_per_second, fastest)
    lead = (
        "Where on the ground a layer stands is given by what it is; how high it gets, by how well it runs. Under the "
        "slope it waits for memory, under the level roof for the processor."
    )
    legend = element(
        "ul",
        element("li", element("i", class_="spot"), "a layer; its area is its time"),
        element("li", element("i", class_="line"), "the roof: multiply-adds and copy in memory"),
        element("li", element("i", class_="dash"), f"copy inside a cache, {amount(fastest)}B/s"),
        class_="legend",
    )
    text = _without_products(rest, measured) if rest else ""
    return section(
        "roofline", "Roofline", lead, legend, figure(roofline_plot(points, roof)), note(text) if text else Markup("")
    )


def _point(layer: MeasuredLayer, measured: MeasuredProfile) -> RooflinePoint:
    operations = 2 * layer.macs
    rate = operations / layer.seconds
    words = (
        f"{layer.name}, {layer.kind}: {flops(rate)} at {operations / layer.bytes:.3g} operations a byte, "
        f"{milliseconds(layer.seconds)}, {share(layer.share)} of its limit"
    )
    return RooflinePoint(
        layer.name, operations / layer.bytes, rate, layer.seconds / measured.watched, "depthwise" in layer.kind, words
    )


def _without_products(rest: list[MeasuredLayer], measured: MeasuredProfile) -> str:
    seconds, moved = sum(layer.seconds for layer in rest), sum(layer.bytes for layer in rest)
    if not seconds or not moved:
        return ""
    rate = moved / seconds
    return (
        f"{count_of(len(rest), 'layer')} without multiply-adds (normalisation, activations, pools, sums) have no place "
        f"here: together {milliseconds(seconds)}, {percent(seconds / measured.watched)} of the time, in which they "
        f"move {size(moved)} at {amount(rate)}B/s, {share(rate / measured.ceilings.copy_bytes_per_second)} "
        "of the copy's rate. Purely depthwise convolutions are grey."
    )
