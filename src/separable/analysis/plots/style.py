"""The look of the plots: classes and variables only, so a page can be light or dark without drawing anything twice."""

__all__ = ["PLOT_STYLE", "THEMES", "standalone_style"]

_FONTS = '"Helvetica Neue",Helvetica,Arial,"Liberation Sans",sans-serif'

THEMES: dict[str, dict[str, str]] = {
    "light": {
        "page": "#fdfdfc",
        "panel": "#f3f3f0",
        "ink": "#1c1d1f",
        "soft": "#5b5f66",
        "line": "#d9d9d4",
        "accent": "#0b5d8a",
        "on-low": "#000000",
        "on-mid": "#000000",
        "on-high": "#ffffff",
        "wash": "#e6eff5",
    },
    "dark": {
        "page": "#15171a",
        "panel": "#1e2125",
        "ink": "#e9e8e4",
        "soft": "#a3a8b0",
        "line": "#363a40",
        "accent": "#6fb9e6",
        "on-low": "#ffffff",
        "on-mid": "#000000",
        "on-high": "#000000",
        "wash": "#1b2a35",
    },
}
"""Colours by theme. One hue; a heat map mixes `accent` into `page`, so it is a ramp of lightness that needs no colour
vision. tests/analysis/test_plots.py computes every contrast."""

PLOT_STYLE = """
svg.plot{display:block;width:100%;height:auto;overflow:visible;font:12px/1 var(--sans)}
svg.plot text{fill:var(--soft);font-variant-numeric:tabular-nums}
svg.plot .name{fill:var(--ink)}
svg.plot .strong{fill:var(--accent);font-weight:600}
svg.plot .axis{stroke:var(--soft);stroke-width:1}
svg.plot .grid{stroke:var(--line);stroke-width:1}
svg.plot .curve{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
svg.plot .curve.accent{stroke:var(--accent)}
svg.plot .curve.muted{stroke:var(--soft);stroke-width:1.25;stroke-opacity:.8}
svg.plot .curve.dashed{stroke-dasharray:6 4}
svg.plot .band{fill:var(--accent);fill-opacity:.16;stroke:none}
svg.plot .band.muted{fill:var(--soft)}
svg.plot .dot{stroke:none;fill:var(--accent)}
svg.plot .dot.muted{fill:var(--soft)}
svg.plot .ring{fill:var(--page);stroke:var(--accent);stroke-width:2}
svg.plot .hit{fill:transparent;stroke:none}
svg.plot .hit:hover{fill:var(--accent);fill-opacity:.35}
svg.plot .guide{stroke:var(--soft);stroke-dasharray:3 4;fill:none}
svg.plot .cell{fill:var(--accent)}
svg.plot .frame{fill:none;stroke:var(--line)}
svg.plot .on-low{fill:var(--on-low)}
svg.plot .on-mid{fill:var(--on-mid)}
svg.plot .on-high{fill:var(--on-high)}
svg.plot .bar{fill:var(--accent);fill-opacity:.38}
svg.plot .bar.muted{fill:var(--soft)}
svg.plot .bar.full{fill-opacity:1}
svg.plot .halo{paint-order:stroke;stroke:var(--page);stroke-width:4px;stroke-linejoin:round}
svg.plot .spot{fill:var(--accent);fill-opacity:.32;stroke:var(--accent);stroke-width:1}
svg.plot .spot.muted{fill:var(--soft);stroke:var(--soft)}
svg.plot .spot:hover{fill-opacity:.7}
svg.plot .tip{fill:var(--accent)}
svg.plot .track{fill:var(--panel)}
svg.plot .whisker{stroke:var(--ink);stroke-width:1.25;fill:none}
svg.plot .whisker.soft{stroke:var(--soft)}
"""


def standalone_style() -> str:
    """The style sheet of a plot that is a file of its own, in both themes; `.page` is what is behind it."""
    variables = {
        theme: "".join(f"--{name}:{colour};" for name, colour in colours.items()) for theme, colours in THEMES.items()
    }
    return (
        f":root{{color-scheme:light dark;--sans:{_FONTS};{variables['light']}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{variables['dark']}}}}}"
        f"{PLOT_STYLE}svg.plot .page{{fill:var(--page)}}"
    )
