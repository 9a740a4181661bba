"""The page as one file: sections in the order a reader asks for them."""

from datetime import UTC, datetime

from separable import __version__
from separable.analysis.page.document import Section, document
from separable.analysis.plots.markup import Markup
from separable.analysis.profile_page.headline import headline
from separable.analysis.profile_page.layers import layers_section
from separable.analysis.profile_page.places import kinds_section, stages_section
from separable.analysis.profile_page.setup import principles_section, setup_section
from separable.analysis.profile_page.speed import limits_section, roofline_section
from separable.analysis.profile_page.subject import Subject

__all__ = ["profile_page"]

_STYLE = """
section.wide{grid-template-columns:minmax(0,1fr)}
section.wide .words{display:grid;grid-template-columns:minmax(0,250px) minmax(0,1fr);gap:6px 48px}
section.wide .lead{max-width:68ch}
#layers table{font-size:13px}
#layers th,#layers td{padding:5px 12px 5px 0}
#layers .tall{max-height:none}
.legend{display:flex;flex-wrap:wrap;gap:6px 22px;list-style:none;margin:0 0 14px;padding:0;color:var(--soft);
font-size:13.5px}
.legend i{display:inline-block;width:14px;height:10px;margin-right:7px;background:var(--soft);opacity:.38}
.legend i.full{background:var(--accent);opacity:1}
.legend i.spot{border-radius:5px;width:10px;background:var(--accent);opacity:.6}
.legend i.line{height:0;border-top:2px solid var(--accent);background:none;opacity:1;vertical-align:middle}
.legend i.dash{height:0;border-top:2px dotted var(--soft);background:none;opacity:1;vertical-align:middle}
@media (max-width:1160px){section,section.wide .words{grid-template-columns:minmax(0,1fr)}}
"""


def profile_page(subject: Subject) -> str:
    """The text of an XHTML page about `subject`; it needs no network, no other file, and no script to be read."""
    built: list[tuple[str, str, Markup | None]] = [
        ("stages", "Where it goes", stages_section(subject)),
        ("kinds", "Kinds of layers", kinds_section(subject)),
        ("limits", "Against the limit", limits_section(subject)),
        ("roofline", "Roofline", roofline_section(subject)),
        ("principles", "Design principles", principles_section(subject)),
        ("layers", "Every layer", layers_section(subject)),
        ("setup", "How it was measured", setup_section(subject)),
    ]
    sections: list[Section] = [(anchor, title, content) for anchor, title, content in built if content is not None]
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    footer = f"Written by separable {__version__} on {when}. Nothing on this page was fetched from a network."
    return document(f"{subject.name}: profile", headline(subject), sections, footer, style=_STYLE)
