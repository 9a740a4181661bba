"""The style sheet and the only script of a page: one column of words, one of figures, one accent colour."""

import base64
import hashlib

from separable.analysis.plots.style import PLOT_STYLE, THEMES

__all__ = ["POLICY", "SCRIPT", "STYLE"]


def _variables(theme: str) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in THEMES[theme].items())


STYLE = (
    f":root{{color-scheme:light dark;{_variables('light')}}}\n"
    f"@media (prefers-color-scheme:dark){{:root{{{_variables('dark')}}}}}\n"
    """
:root{--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 var(--sans)}
main,header,footer{max-width:1200px;margin:0 auto;padding:0 32px}
header{padding-top:56px}
h1{font-size:clamp(28px,4.4vw,46px);line-height:1.12;letter-spacing:-.02em;font-weight:650;margin:10px 0 18px;
max-width:22em;overflow-wrap:anywhere;text-wrap:balance}
h2{font-size:21px;line-height:1.25;letter-spacing:-.01em;font-weight:650;margin:0 0 8px}
h3{font-size:14px;font-weight:650;margin:34px 0 8px}
h3:first-child{margin-top:0}
p{margin:0 0 14px;max-width:68ch;overflow-wrap:anywhere}
a{color:var(--accent);text-underline-offset:3px}
.eyebrow{color:var(--soft);font-size:14px;margin:0;max-width:none;overflow-wrap:anywhere}
nav{padding-top:16px}
.summary{font-size:19px;line-height:1.5;max-width:62ch}
.lead{color:var(--soft);font-size:15px}
.note,figcaption,.pairs,caption{color:var(--soft);font-size:13.5px;line-height:1.5}
.note{margin:14px 0 0}
.alert{border-left:3px solid var(--accent);background:var(--wash);padding:12px 16px;margin:22px 0 0;max-width:none}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:24px 28px;margin:30px 0 30px;
padding:22px 0;border-top:1px solid var(--line);border-bottom:1px solid var(--line)}
.tiles dt{color:var(--soft);font-size:13.5px}
.tiles dd{margin:2px 0 0}
.tiles .value{display:block;font-size:25px;line-height:1.25;font-weight:600;letter-spacing:-.01em;
font-variant-numeric:tabular-nums}
.tiles .detail{display:block;color:var(--soft);font-size:13px;line-height:1.4}
nav{font-size:14px;display:flex;flex-wrap:wrap;gap:4px 20px;margin-bottom:12px}
nav a{text-decoration:none}
nav a:hover{text-decoration:underline}
section{display:grid;grid-template-columns:minmax(0,250px) minmax(0,1fr);gap:20px 48px;padding:46px 0;
border-top:1px solid var(--line);scroll-margin-top:8px}
main section:first-child{border-top:0}
figure{margin:0}
.apart{margin-top:30px}
.pair .apart{margin-top:0}
#use h3{margin-top:18px}
#use h3:first-child{margin-top:0}
code{font-family:var(--mono);font-size:.92em}
figcaption{margin-top:10px;max-width:68ch}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:30px 34px;align-items:start}
.scroll{overflow-x:auto;overscroll-behavior-x:contain}
.scroll:focus-visible,button:focus-visible,summary:focus-visible,a:focus-visible{
outline:2px solid var(--accent);outline-offset:2px}
.tall{max-height:560px;overflow:auto}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
caption{text-align:left;padding-bottom:8px}
th,td{text-align:left;padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
tbody th{font-weight:400;overflow-wrap:anywhere;min-width:8em}
tbody td:not(.numeric){overflow-wrap:anywhere;min-width:7em}
thead th{border-bottom-color:var(--soft);white-space:nowrap;position:sticky;top:0;background:var(--page)}
.numeric{text-align:right;white-space:nowrap}
th button{all:unset;cursor:pointer;color:var(--soft);font-weight:600}
th button:hover{color:var(--ink)}
th[aria-sort] button{color:var(--accent)}
th[aria-sort=ascending] button::after{content:" \\2191"}
th[aria-sort=descending] button::after{content:" \\2193"}
.shots{display:grid;grid-template-columns:repeat(auto-fill,minmax(128px,1fr));gap:22px 16px;
list-style:none;margin:0;padding:0}
.shots li{min-width:0;font-size:13px;line-height:1.35}
.frame{display:flex;align-items:center;justify-content:center;aspect-ratio:1;background:var(--panel);margin-bottom:7px;
color:var(--soft);text-align:center;padding:0}
.frame img{display:block;width:100%;height:100%;object-fit:contain}
.gone{padding:10px}
.said{display:block;font-weight:600;overflow-wrap:anywhere}
.truth{display:block;color:var(--soft);overflow-wrap:anywhere}
.twins{grid-template-columns:repeat(auto-fill,minmax(min(100%,240px),1fr));margin-bottom:14px}
.two{display:grid;grid-template-columns:1fr 1fr;gap:4px}
.finding{margin:0 0 22px}
.finding strong{font-weight:600}
.wrong .said::before{content:"\\2717\\00a0";color:var(--accent)}
.right .said{font-weight:400}
.right .said::before{content:"\\2713\\00a0";color:var(--soft)}
pre{font:13.5px/1.5 var(--mono);background:var(--panel);padding:11px 14px;margin:0 0 14px;overflow-x:auto;
border-radius:4px}
.command{white-space:pre-wrap;overflow-wrap:anywhere;user-select:all}
.command span{display:inline-block;max-width:100%}
.note+.command{margin-top:10px}
.pairs{display:grid;grid-template-columns:minmax(90px,max-content) minmax(0,1fr);gap:4px 20px;margin:0 0 14px}
.pairs dd{margin:0;color:var(--ink);overflow-wrap:anywhere}
details{margin:16px 0 0}
summary{cursor:pointer;color:var(--accent);font-size:14px}
details[open]>summary{margin-bottom:12px}
ul.plain{margin:0 0 14px;padding-left:18px;overflow-wrap:anywhere}
ul.plain li{margin-bottom:5px}
footer{color:var(--soft);font-size:13px;padding-top:22px;padding-bottom:60px;
border-top:1px solid var(--line);margin-top:20px}
@media (max-width:820px){main,header,footer{padding-left:18px;padding-right:18px}header{padding-top:32px}
section{grid-template-columns:minmax(0,1fr);padding:32px 0}.summary{font-size:17px}
.shots{grid-template-columns:repeat(auto-fill,minmax(104px,1fr))}.keep{min-width:var(--natural)}}
@media print{:root{"""
    + _variables("light")
    + """--page:#fff}body{font-size:11pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
nav{display:none}section{display:block;padding:18px 0}.words{margin-bottom:10px}.tall{max-height:none;overflow:visible}
figure,.shots li,tr,.tiles{break-inside:avoid}h2,h3,.words{break-after:avoid}.scroll{overflow:visible}
table{font-size:9pt}th,td{padding:4px 8px 4px 0}thead th{position:static}footer{padding-bottom:0}}
"""
    + PLOT_STYLE
)

SCRIPT = """
document.querySelectorAll("table.sortable thead th").forEach(function (head) {
  head.firstElementChild.addEventListener("click", function () {
    var table = head.closest("table"), body = table.tBodies[0], index = head.cellIndex;
    var numeric = head.classList.contains("numeric");
    var down = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : numeric;
    table.querySelectorAll("th[aria-sort]").forEach(function (other) { other.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    Array.from(body.rows).sort(function (one, two) {
      var a = one.cells[index], b = two.cells[index];
      if (numeric) {
        if (!a.dataset.value || !b.dataset.value) { return (a.dataset.value ? 0 : 1) - (b.dataset.value ? 0 : 1); }
        return (a.dataset.value - b.dataset.value) * (down ? -1 : 1);
      }
      return a.textContent.localeCompare(b.textContent) * (down ? -1 : 1);
    }).forEach(function (row) { body.appendChild(row); });
  });
});
"""
"""Sorts a table by the column whose head is clicked. No `less than` and no ampersand, so that the page stays XML."""

_DIGEST = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
POLICY = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{_DIGEST}'"
"""The browser is told to fetch nothing and to run this one script: what a file name smuggles in stays text."""
