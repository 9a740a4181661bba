"""`separable convert`."""

from pathlib import Path
from typing import Annotated

import typer

from separable.cli.options import Debug, Json, ModelOptions, key_values
from separable.cli.output import Output
from separable.errors import UsageError

EXAMPLES = """
separable convert xception-43020ad28.pth xception
separable convert inception_v3_google-0cc3c7bd.pth inception --verify
separable convert detector.pth detector --numerics keras
separable convert weights.h5 mobilenet --model mobilenet_v1 --option width=0.5
separable convert runs/flowers flowers-timm --to timm
"""


def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A weight file, a model folder, or a run.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="A new folder; for Keras, a name in .weights.h5.")],
    to: Annotated[str, typer.Option(metavar="WHICH", help="What to write: separable, timm or keras.")] = "separable",
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The network.", show_default="told from the file", rich_help_panel="The network"
        ),
    ] = None,
    option: ModelOptions = None,
    numerics: Annotated[
        str,
        typer.Option(
            metavar="WHOSE",
            help="source: epsilon, borders and averages of the weights' own framework; keras: the catalogue's.",
        ),
    ] = "source",
    release: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Whose weights they are where names do not tell: timm, torchvision, or a tag such as tf_in1k.",
            show_default="by the file's name",
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Fail unless the logits are the source framework's own.")
    ] = False,
    allow_difference: Annotated[
        bool, typer.Option("--allow-difference", help="Write even what the target cannot hold exactly, and say so.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Turn weights of Keras, timm, torchvision or TF-slim into a model folder, or a model into theirs.

    Prints a parity certificate: what matched, the numerics taken over, and, where the source's framework is installed,
    how far its logits are from ours on the same pictures. The certificate is also written beside the output.
    """
    if numerics not in ("source", "keras"):
        raise UsageError("Unknown --numerics", got=repr(numerics), expected="source or keras")
    from separable.weights.conversion import certificate_path, convert_weights

    with Output(json) as out:
        certificate = convert_weights(
            source,
            target,
            model=model,
            options=key_values(option, "--option"),
            numerics="keras" if numerics == "keras" else "source",
            release=release,
            to=to,
            allow_difference=allow_difference,
            say=out.say,
        )
        out.show(certificate.to_text())
        out.show(f"Written to {target}, the certificate to {certificate_path(target)}.")
        out.document({"target": str(target), **certificate.to_json()})
    if verify and not certificate.verified:
        from separable.errors import WeightsMismatchError

        raise WeightsMismatchError(
            f"{target} is written, and --verify finds it not proven",
            got=certificate.unverified or certificate.verdict,
            expected=f"logits of the source framework within {certificate.tolerance:g} of its largest",
        )
