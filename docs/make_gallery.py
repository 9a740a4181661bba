"""Make docs/gallery: drawings, profiles and explanations, each by the installed command line, and the page about them.

    python docs/make_gallery.py                                    # all but the explanation, which needs weights
    python docs/make_gallery.py --only draw                        # half a minute; the same bytes wherever it runs
    python docs/make_gallery.py --only profile                     # measures: nothing else should run meanwhile
    python docs/make_gallery.py --only explain --weights mobilenet_v1_0.5_160_dequant_float32.npz

The weights of the explanation are those of MobileNet V1, width 0.5, 160x160, that google-coral/test_data publishes as
mobilenet_v1_0.5_160_quant.tflite (Apache-2.0), as float32 under TF-slim's names, with imagenet_labels.txt of the same
place beside them. The picture is scikit-learn's china.jpg.
"""

import argparse
import base64
import io
import json
import os
import re
import shlex
import shutil
import subprocess  # starts this package's own command line
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

GALLERY = Path(__file__).parent / "gallery"
PARTS = ("draw", "profile", "explain")
LABELS = "imagenet_labels.txt"
MODEL = "mobilenet-0.5-160"
WEIGHTS = "mobilenet_v1_0.5_160_dequant_float32.npz"
PICTURE = "china.jpg"


@dataclass(frozen=True)
class Entry:
    """A file of the gallery, what is to be seen in it, and the arguments of `separable` that make it."""

    file: str
    title: str
    words: str
    arguments: str

    @property
    def command(self) -> list[str]:
        return shlex.split(self.arguments)


def _drawing(model: str, title: str, words: str, file: str = "", options: str = "") -> Entry:
    name = file or f"{model}.svg"
    return Entry(name, title, words, " ".join(f"draw {model} {options} --out {name}".split()))


DRAWINGS = (
    _drawing("xception", "Xception", "Entry, middle and exit flow as in figure 5 of its paper."),
    _drawing("inception_v1", "Inception V1 (GoogLeNet)", "Nine modules of one form, with their six widths."),
    _drawing(
        "bn_inception", "BN-Inception", "The first convolution is separable; two 3x3 convolutions where a 5x5 was."
    ),
    _drawing(
        "inception_v2",
        "Inception V2, with its auxiliary head",
        "The 42 layers of arXiv:1512.00567, table 1.",
        options="--option aux_head=true",
    ),
    _drawing("inception_v3", "Inception V3", "Figures 5, 6, 7 and 10 of its paper."),
    _drawing("inception_v4", "Inception V4", "The stem's three modules, A, B and C, two reductions."),
    _drawing("inception_resnet_v2", "Inception-ResNet V2", "Forty residual modules, and the scale of each residual."),
    _drawing("xception65", "Xception-65", "DeepLab's: strided separable convolutions in place of the pools."),
    _drawing("mobilenet_v1", "MobileNet V1", "Its strided depthwise convolutions break the first design principle."),
    _drawing("resnet50", "ResNet-50", "Four stages of residual blocks; those that are alike once."),
    _drawing("vgg16", "VGG-16", "Three pools come before the channels double, all on early grids."),
    _drawing("squeezenet", "SqueezeNet", "Every second Fire module lets an eighth of the channels through."),
    _drawing(
        "figure_9.py:pool_first",
        "Broken principles: figure 9 of arXiv:1512.00567, left",
        "A network of one's own, [figure_9.py](figure_9.py), made as the paper says not to: each pool comes before the "
        "module that widens,\nso that a quarter of the representation is left. The drawing marks both places.",
        file="figure_9_left.svg",
        options="--size 299",
    ),
    _drawing(
        "figure_9.py:parallel",
        "The remedy: figure 10",
        "The same network with strided convolutions beside the pools. Nothing is marked.",
        file="figure_10.svg",
        options="--size 299",
    ),
)

PROFILES = (
    Entry("profile_xception.html", "Xception, one picture", "", "profile xception --html profile_xception.html"),
    Entry(
        "profile_xception_8.html",
        "Xception, eight pictures at once",
        "",
        "profile xception --batch 8 --html profile_xception_8.html",
    ),
    Entry(
        "profile_inception_v3.html",
        "Inception V3, one picture",
        "",
        "profile inception_v3 --html profile_inception_v3.html",
    ),
    Entry(
        "profile_inception_v3_8.html",
        "Inception V3, eight pictures at once",
        "",
        "profile inception_v3 --batch 8 --html profile_inception_v3_8.html",
    ),
)
COUNTED = Entry(
    "profile_figure_9.html",
    "The network of figure 9, left: counts alone, and where it breaks a principle",
    "",
    "profile figure_9.py:pool_first --size 299 --no-measure --html profile_figure_9.html",
)
DOCTOR = Entry(
    "doctor_figure_9.txt",
    "What is slow in the network of figure 9, left",
    "",
    "doctor figure_9.py:pool_first --size 299",
)

CONVERT = f"convert {WEIGHTS} {MODEL} --model mobilenet_v1 --option width=0.5"
EXPLANATION = Entry("china.html", "Why a boathouse?", "", f"explain {MODEL} {PICTURE} --out china.html --png")
LOOKS = (
    ("seen.png", "What the network sees"),
    ("gradcam-450-boathouse.png", "Grad-CAM"),
    ("integrated-450-boathouse.png", "Integrated gradients"),
)
GRIDS = (
    ("filters.png", "The 16 filters of the first layer, in the colours they look for"),
    ("maps-block1.png", "Feature maps of block1, 80x80"),
    ("maps-block3.png", "of block3, 40x40"),
    ("maps-block5.png", "of block5, 20x20"),
    ("maps-block11.png", "of block11, 10x10"),
    ("maps-block13.png", "of block13, 5x5"),
)
CREDIT = """
[china.jpg](https://www.flickr.com/photos/danielbuechele/6061409035/sizes/z/in/photostream/) by
[danielbuechele](https://www.flickr.com/photos/danielbuechele/), some rights reserved,
[CC BY 2.0](https://creativecommons.org/licenses/by/2.0/), as it comes with scikit-learn (`sklearn.datasets`). Cropped,
resized, and coloured by `separable explain`.
""".strip()


def main() -> None:
    """Parse, make, say what was made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, help="one part alone")
    parser.add_argument("--out", type=Path, default=GALLERY, help="the folder (default: docs/gallery)")
    parser.add_argument("--weights", type=Path, help=f"{WEIGHTS}, for the explanation")
    given = parser.parse_args()
    parts = (given.only,) if given.only else PARTS
    out: Path = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if out != GALLERY.resolve():
        shutil.copy(GALLERY / "figure_9.py", out)
    if "draw" in parts:
        for entry in DRAWINGS:
            print(separable(entry.command, out).strip())
    if "profile" in parts:
        measure(out)
    if "explain" in parts and given.weights is not None:
        explain(out, given.weights.resolve())
    elif "explain" in parts:
        print("The explanation stays as it is: it needs --weights, see --help", file=sys.stderr)
    (out / "README.md").write_text(page(), encoding="utf-8")


def separable(arguments: list[str], folder: Path) -> str:
    """Run the command line in `folder`; what it prints.

    Raises:
        SystemExit: it failed; it has said why.
    """
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "separable", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"separable {shlex.join(arguments)}: exit code {done.returncode}")
    return done.stdout


def measure(out: Path) -> None:
    """The profiles, and what `doctor` says."""
    target = out / COUNTED.file
    before = target.read_text(encoding="utf-8") if target.is_file() else ""
    separable(COUNTED.command, out)
    keep(target, before, target.read_text(encoding="utf-8"))
    for entry in PROFILES:
        separable(entry.command, out)
        print(f"{entry.file}: {_state((out / entry.file).read_text(encoding='utf-8'))}")
    said = separable(DOCTOR.command, out)
    (out / DOCTOR.file).write_text(said, encoding="utf-8")
    print(f"{DOCTOR.file}: {_state(said)}")


def _state(text: str) -> str:
    return (
        "DISTURBED, measure it again on a quiet machine" if "Something else used this machine" in text else "measured"
    )


def explain(out: Path, weights: Path) -> None:
    """The page and its pictures, made in a folder of their own so that no path of this machine is in them."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise SystemExit('The picture comes with scikit-learn: pip install "separable[demo]"')
    with tempfile.TemporaryDirectory() as made:
        work = Path(made)
        shutil.copy(weights, work / WEIGHTS)
        shutil.copy(Path(spec.origin).parent / "datasets" / "images" / PICTURE, work)
        separable(shlex.split(CONVERT), work)
        name_classes(work / MODEL / "config.json", (weights.parent / LABELS).read_text(encoding="utf-8").splitlines())
        print(separable(EXPLANATION.command, work).strip())
        html = shrunk(credited((work / EXPLANATION.file).read_text(encoding="utf-8")))
        target = out / EXPLANATION.file
        keep(target, target.read_text(encoding="utf-8") if target.is_file() else "", html)
        shutil.rmtree(target.with_suffix(""), ignore_errors=True)
        shutil.copytree((work / EXPLANATION.file).with_suffix(""), target.with_suffix(""))


def keep(target: Path, before: str, after: str) -> None:
    """Write the page `after`, or what was there `before`: another date alone is no news."""
    same = undated(before) == undated(after)
    target.write_text(before if same else after, encoding="utf-8")


def undated(html: str) -> str:
    """A page without the moment at which it was written."""
    return re.sub(r" on \d{4}-\d\d-\d\d \d\d:\d\d UTC", "", html)


def name_classes(config: Path, names: list[str]) -> None:
    """Write the names of the classes into a model folder, which the weights come without; the first of each alone."""
    content = json.loads(config.read_text(encoding="utf-8"))
    content["input"]["class_names"] = _distinct([name.partition(",")[0] for name in names], names)
    config.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _distinct(short: list[str], names: list[str]) -> list[str]:
    return [brief if short.count(brief) == 1 else whole for brief, whole in zip(short, names, strict=True)]


def credited(html: str) -> str:
    """The page with the picture's attribution in its footer, as its licence asks wherever it is shown."""
    words = re.sub(r"\[([^]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', CREDIT).replace("`", "")
    if html.count("</footer>") != 1:
        raise SystemExit("The page has no footer to put the attribution into")
    return html.replace("</footer>", f"<p>{words}</p></footer>")


def shrunk(html: str) -> str:
    """The page with its photographs, which are lossless or larger than shown, as JPEG of at most 480 pixels."""
    return re.sub(r"data:image/(?:png|jpeg);base64,([A-Za-z0-9+/=]+)", _smaller, html)


def _smaller(found: re.Match[str]) -> str:
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as image:
        if image.mode != "RGB":  # maps, attributions and filters have a palette and stay as they are
            return found[0]
        image.thumbnail((480, 480), Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def page() -> str:
    """The text of docs/gallery/README.md."""
    looks = [f"![{words}]({Path(EXPLANATION.file).stem}/{file})" for file, words in LOOKS]
    captions = [words for _, words in LOOKS]
    grids = [f"{words}:\n\n![{words}]({Path(EXPLANATION.file).stem}/{file})\n" for file, words in GRIDS]
    lines = [
        _INTRODUCTION,
        "## Drawings\n",
        *[_drawn(entry) for entry in DRAWINGS],
        _PROFILES,
        *[f"- [{entry.title}]({entry.file}): `separable {entry.arguments}`" for entry in (*PROFILES, COUNTED)],
        f"- [{DOCTOR.title}]({DOCTOR.file}): `separable {DOCTOR.arguments} > {DOCTOR.file}`\n",
        _EXPLANATION,
        f"| {' | '.join(captions)} |\n|{'---|' * len(captions)}\n| {' | '.join(looks)} |\n",
        *grids,
        "## Picture and weights\n",
        CREDIT + "\n",
        _WEIGHTS,
    ]
    return "\n".join(lines)


def _drawn(entry: Entry) -> str:
    command = f"```bash\nseparable {entry.arguments}\n```"
    return f"### {entry.title}\n\n{entry.words}\n\n{command}\n\n![{entry.title}]({entry.file})\n"


_INTRODUCTION = """
# Gallery

What `separable draw`, `profile`, `doctor` and `explain` make. Everything here, this page too, is made by
[make_gallery.py](../make_gallery.py), with the commands below, run in this folder. Drawings follow the reader's light
or dark colours and are the same to the byte wherever they are made. HTML pages are single files that fetch nothing:
save one and open it in a browser.
""".lstrip()

_PROFILES = """
## Profiles

Where parameters, multiply-adds, activations, bytes and milliseconds go, with each layer's limit on the machine that
measured it, the roofline, and a sortable table of every layer. What was measured is written at the end of each page; a
page made while something else used the machine says so at its top.
""".lstrip()

_EXPLANATION = f"""
## An explanation

[{EXPLANATION.title}]({EXPLANATION.file}): MobileNet V1 (width 0.5, 160x160) with real ImageNet weights looks at a
Chinese tower. No class is right; it is unsure between boathouse, palace and monastery, and the page shows what speaks
for the first two. The pictures of the page, each as a file, are in [china](china).

```bash
separable {CONVERT}
separable {EXPLANATION.arguments}
```

Between the two, the names of the 1,001 classes were written into `class_names` of {MODEL}/config.json;
afterwards the attribution below was added to the page's footer, and its photographs were made smaller as JPEG.
""".lstrip()

_WEIGHTS = """
The weights are those of `mobilenet_v1_0.5_160_quant.tflite` of
[google-coral/test_data](https://github.com/google-coral/test_data), Apache-2.0, as float32 under TF-slim's names:
eight bits a weight, so that four of the first 16 filters are 0 and three more no larger than two steps of that scale.
They are not part of this repository.
""".lstrip()


if __name__ == "__main__":
    main()
