"""The sections with the picture, the answers, the feature maps and the filters."""

from collections.abc import Mapping

from separable.analysis.explain.images import data_uri, jpeg, map_grid
from separable.analysis.explain.subject import Subject, maps_file
from separable.analysis.page.html import figure, note, section
from separable.analysis.page.wording import percent
from separable.analysis.plots import Bar, bar_chart
from separable.analysis.plots.markup import Markup, element, join, shorten

__all__ = ["filters_section", "image", "maps_section", "seen_section"]

_THUMBNAIL = 640
_SMALL = 128  # pictures below this are shown as the squares they are


def image(content: bytes, alt: str, *, squares: bool = False) -> Markup:
    kind = "squares" if squares else None
    return element("span", element("img", src=data_uri(content), alt=shorten(alt, 200), class_=kind), class_="look")


def seen_section(subject: Subject, images: Mapping[str, bytes]) -> Markup:
    """The whole picture with the part that is kept, that part as the network gets it, and the best answers."""
    height, width = subject.contract.size
    found = subject.explanation
    bars = [
        Bar(subject.name(index), value, note=f"{subject.name(index)}: {percent(value)}")
        for index, value in ((index, float(found.probabilities[index])) for index in found.top)
    ]
    name, long = ("share of the pixels", 230) if subject.of_pixels else (subject.sureness, 320)
    chart = bar_chart(bars, name=name, domain=(0.0, 1.0), width=long, write=percent)
    seen = image(images["seen.png"], "The picture as the network sees it", squares=min(height, width) < _SMALL)
    whole = f"The picture, {subject.size[1]}x{subject.size[0]} pixels, {_cut(subject)}."
    given = f"What the network gets: {width}x{height} pixels, {subject.contract.filter}, antialiased."
    looks = element(
        "div",
        element("figure", _outlined(subject), element("figcaption", whole)),
        element("figure", seen, element("figcaption", given)),
        *_answered(subject, images),
        figure(chart, _confidence(subject)),
        class_="looks",
    )
    lead = "The picture, what is left of it after resizing and cropping, and what the network takes "
    lead += "each of its pixels for." if subject.of_pixels else "it for."
    return section("seen", "What it sees", lead, looks)


def _answered(subject: Subject, images: Mapping[str, bytes]) -> list[Markup]:
    if "predicted.png" not in images:
        return []
    drawn = image(images["predicted.png"], "The classes of its pixels", squares=min(subject.contract.size) < _SMALL)
    return [element("figure", drawn, element("figcaption", "What it takes each pixel for, in the classes' colours."))]


def maps_section(subject: Subject, images: Mapping[str, bytes]) -> Markup | None:
    """What the picture becomes on its way: for each resolution the maps that vary most."""
    if not subject.explanation.maps:
        return None
    content: list[Markup] = []
    for layer, maps in subject.explanation.maps:
        chosen = len(map_grid(maps)[1])
        silent = int((maps.amax((1, 2)) == maps.amin((1, 2))).sum())
        words = f"{chosen} of {layer.channels} maps, {layer.height}x{layer.width} positions"
        words += f"; {silent} of all are the same everywhere" if silent and layer.positions > 1 else ""
        title = element("h3", layer.name)
        grid = element("div", image(images[maps_file(layer)], f"Feature maps of {layer.name}"), class_="grid")
        content += [title, grid, note(f"{words}.")]
    lead = (
        "What becomes of the picture on its way through the network, at each resolution: the maps that vary most, each "
        "from its own least (dark) to its own greatest value (light)."
    )
    return section("maps", "Feature maps", lead, *content)


def filters_section(subject: Subject, images: Mapping[str, bytes]) -> Markup | None:
    """The first layer's weights."""
    if subject.filters is None:
        return None
    name, weights = subject.filters
    filters, inputs, height, width = weights.shape
    in_colour = "in the colours they look for" if inputs == 3 else "in grey, a tile for each input"
    lead = f"The {filters} filters of {height}x{width} pixels that the picture meets first, {in_colour}."
    grid = element("div", image(images["filters.png"], f"Filters of {name}"), class_="grid")
    said = note(f"{name}. Each on its own scale: middle grey is 0, the ends are plus and minus its largest weight.")
    return section("filters", "First filters", lead, grid, said)


def _outlined(subject: Subject) -> Markup:
    """The whole picture, dimmed outside of what the network gets."""
    height, width = subject.size
    top, left, tall, wide = subject.region
    line = max(height, width) / 160
    inner = f"M{left:.1f} {top:.1f}h{wide:.1f}v{tall:.1f}h{-wide:.1f}z"
    parts = [
        element("image", href=data_uri(jpeg(subject.whole, _THUMBNAIL)), width=width, height=height,
                preserveAspectRatio="none"),
        element("path", d=f"M0 0H{width}V{height}H0z{inner}", fill_rule="evenodd",
                style="fill:var(--page);fill-opacity:.62"),
        element("path", d=inner, style=f"fill:none;stroke:var(--accent);stroke-width:{line:.2f}"),
    ]  # fmt: skip
    alt = f"The whole picture; the network gets {wide:.0f}x{tall:.0f} pixels of it, outlined"
    return element(
        "svg",
        join(*parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        class_="seen",
        role="img",
        aria_label=alt,
    )


def _cut(subject: Subject) -> str:
    height, width = subject.size
    _, _, tall, wide = subject.region
    share = tall * wide / (height * width)
    if subject.contract.resize == "squash":
        return "of which all is kept, squeezed to the network's sides"
    return f"of which {percent(share, 0)} is kept" if share < 0.9995 else "of which all is kept"


def _confidence(subject: Subject) -> str:
    if subject.of_pixels:
        shown = int((subject.explanation.probabilities > 0).sum())
        words = f"The areas of the {len(subject.explanation.top)} largest of {shown} classes that the picture shows"
        return f"{words}, among the pixels that the network sees; `predict` counts those of the picture itself."
    if len(subject.explanation.probabilities) == 1:
        return "The network has one output: its sigmoid."
    if subject.of_tags:
        tags = f"{len(subject.explanation.probabilities):,} tags"
        return f"The {len(subject.explanation.top)} most probable of {tags}, each of which is answered for itself."
    words = f"The {len(subject.explanation.top)} best of {len(subject.explanation.probabilities):,} classes"
    warmth = f", calibrated with the temperature {subject.temperature:.3g}" if subject.temperature != 1.0 else ""
    return f"{words}{warmth}."
