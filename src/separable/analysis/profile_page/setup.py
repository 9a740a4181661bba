"""The design principles that the network breaks, and what the numbers of the page were made with."""

from separable.analysis.page.html import key_values, note, paragraph, section
from separable.analysis.page.wording import amount
from separable.analysis.plots.markup import Markup, element
from separable.analysis.principles import BrokenPrinciple
from separable.analysis.profile_page.subject import Subject
from separable.analysis.profile_page.wording import flops, milliseconds, size, times

__all__ = ["principles_section", "setup_section"]

_BEST_OF = "the better of a large matrix product and a 3x3 convolution: "


def principles_section(subject: Subject) -> Markup:
    """A paragraph for each finding, warnings before notes."""
    lead = (
        "Rules computed from principles 1 and 4 of arXiv:1512.00567: no cut through the data flow should lose much at "
        "once, and no grid should be far deeper or wider than its share of the work."
    )
    if subject.findings_missing:
        return section("principles", "Design principles", lead, paragraph(subject.findings_missing))
    if not subject.findings:
        return section("principles", "Design principles", lead, paragraph("No place in this network breaks them."))
    ordered = sorted(subject.findings, key=lambda one: one.level != "warning")
    return section("principles", "Design principles", lead, *(_finding(one) for one in ordered))


def _finding(one: BrokenPrinciple) -> Markup:
    where = one.place if one.level == "warning" else f"{one.place}, in the stem"
    about = f"Principle {one.principle}, {one.title[0].lower()}{one.title[1:]}"
    return element(
        "div",
        element("p", element("strong", where), style="margin-bottom:2px"),
        element("p", one.text, style="margin-bottom:2px"),
        element("p", about, class_="note", style="margin-top:0"),
        class_="finding",
    )


def setup_section(subject: Subject) -> Markup:
    """Machine, versions, precision, batch, threads, and how the times were taken."""
    measured, environment = subject.measured, subject.environment
    pairs: list[tuple[str, str | Markup]] = [("pictures", f"{times(subject.profile.input_shape)}, random numbers")]
    if measured:
        ceilings = measured.ceilings
        layout = "channels innermost (channels_last)" if measured.channels_last else "contiguous (N, C, H, W)"
        copies = ", ".join(f"{size(count)}: {amount(rate)}B/s" for count, rate in ceilings.copies)
        pairs += [
            ("precision", f"{measured.precision}, weights and pictures alike"),
            ("layout", layout),
            ("mode", "evaluation, without gradients; training was not measured"),
            ("machine", f"{ceilings.processor}, {ceilings.threads} threads ({ceilings.device})"),
            (
                "multiply-adds",
                _BEST_OF + ", ".join(f"{name} {flops(rate)}" for name, rate in ceilings.gemm_flops.items()),
            ),
            ("copy in memory", f"{amount(ceilings.copy_bytes_per_second)}B/s, bytes read and bytes written"),
            ("copies by size", copies),
            ("runs", f"{measured.runs} with a stopwatch at every module, in turns with as many without; medians"),
            (
                "accounts",
                f"{milliseconds(measured.inside)} inside layers and {milliseconds(measured.outside)} outside; "
                f"{milliseconds(measured.whole)} the whole without stopwatches",
            ),
        ]
    else:
        pairs.append(("mode", "counted on shapes alone, nothing was run"))
    pairs += _software(environment)
    remark = note(
        "A multiply-add counts as two operations. Bytes are those of each operation's inputs and outputs, as if "
        "nothing stayed in a cache from one operation to the next. The time of a module is its own: what runs "
        "inside a layer that it calls is that layer's."
    )
    lead = "Times hold for this machine in this state; ratios between layers travel better than milliseconds."
    return section("setup", "How it was measured", lead, key_values(pairs), remark)


def _software(environment: dict[str, object]) -> list[tuple[str, str | Markup]]:
    pairs: list[tuple[str, str | Markup]] = []
    packages = environment.get("packages")
    if isinstance(packages, dict):
        named = [f"{name} {packages[name]}" for name in ("separable", "torch", "numpy") if packages.get(name)]
        pairs.append(("versions", ", ".join([f"Python {environment.get('python', '')}", *named])))
    processor = environment.get("processor")
    if isinstance(processor, dict):
        features = ", ".join(processor.get("features") or []) or "none known"
        pairs.append(
            ("processor", f"{processor.get('model')}, {processor.get('usable_cores')} cores usable; {features}")
        )
    if environment.get("system"):
        pairs.append(("system", str(environment["system"])))
    if environment.get("allocator"):
        pairs.append(("allocator", str(environment["allocator"])))
    return pairs
