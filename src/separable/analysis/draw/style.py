"""The look of the drawings: variables for light and dark, classes for everything that is drawn."""

from typing import Literal

from separable.analysis.plots.style import THEMES

__all__ = ["FILLS", "Theme", "stylesheet"]

Theme = Literal["auto", "light", "dark"]

FILLS: dict[str, dict[str, tuple[str, str]]] = {
    "light": {
        "conv": ("#e1edf6", "#5f93b8"),
        "depthwise": ("#ddf1ea", "#4f9c86"),
        "separable": ("#ddf1ea", "#4f9c86"),
        "linear": ("#ece6f6", "#8f78c2"),
        "pool": ("#fbecd6", "#c08f45"),
        "light": ("#ffffff", "#a9a9a3"),
        "join": ("#e6e6e1", "#85888e"),
        "module": ("#e6eff5", "#0b5d8a"),
        "other": ("#ffffff", "#85888e"),
        "mark": ("#b3261e", "#b3261e"),
        "remark": ("#6b6f76", "#6b6f76"),
    },
    "dark": {
        "conv": ("#1d3345", "#5f93b8"),
        "depthwise": ("#17372f", "#4f9c86"),
        "separable": ("#17372f", "#4f9c86"),
        "linear": ("#2d2544", "#8f78c2"),
        "pool": ("#3d2f17", "#b8893f"),
        "light": ("#22252a", "#6d727a"),
        "join": ("#33373d", "#8b9099"),
        "module": ("#1b2a35", "#6fb9e6"),
        "other": ("#22252a", "#8b9099"),
        "mark": ("#f2867e", "#f2867e"),
        "remark": ("#a3a8b0", "#a3a8b0"),
    },
}
"""Fill and outline of a box by its family."""

_RULES = """
svg.network{background:var(--page);font-family:"Helvetica Neue",Helvetica,Arial,"Liberation Sans",sans-serif}
svg.network text{fill:var(--ink)}
svg.network .title{font-weight:700}
svg.network .heading,svg.network .name{font-weight:700}
svg.network .soft,svg.network .subheading,svg.network .note{fill:var(--soft)}
svg.network .times{fill:var(--accent);font-weight:700}
svg.network .on-mark{fill:var(--page);font-weight:700}
svg.network .sign{font-weight:400}
svg.network path.line{fill:none;stroke:var(--soft);stroke-width:1.25;stroke-linejoin:round}
svg.network path.head{fill:var(--soft);stroke:none}
svg.network .panel{fill:var(--panel);stroke:none}
svg.network .frame,svg.network .behind{fill:var(--page);stroke:var(--line-strong);stroke-width:1}
svg.network .rule{stroke:var(--line-strong);stroke-width:1;fill:none}
"""


def stylesheet(theme: Theme) -> str:
    """CSS of a whole drawing; "auto" follows the reader's system."""
    first = "dark" if theme == "dark" else "light"
    css = f"svg.network{{{_variables(first)}}}"
    if theme == "auto":
        css += f"\n@media (prefers-color-scheme:dark){{svg.network{{{_variables('dark')}}}}}"
    fills = "".join(
        f"svg.network .{family}{{fill:var(--{family});stroke:var(--{family}-edge)}}\n" for family in FILLS["light"]
    )
    rounds = "svg.network .bar,svg.network .circle{fill:var(--join);stroke:var(--join-edge)}\n"
    return f"\n{css}{_RULES}{fills}{rounds}"


def _variables(theme: str) -> str:
    colours = {name: THEMES[theme][name] for name in ("page", "panel", "ink", "soft", "accent")}
    colours["line-strong"] = {"light": "#c4c4be", "dark": "#4a4f57"}[theme]
    for family, (fill, edge) in FILLS[theme].items():
        colours[family], colours[f"{family}-edge"] = fill, edge
    return f"color-scheme:{theme};" + "".join(f"--{name}:{value};" for name, value in colours.items())
