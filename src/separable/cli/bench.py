"""`separable bench ops | train | infer`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from separable.cli.bench_choices import (
    baseline_of,
    check,
    check_networks,
    contestants_of,
    peers_of,
    precisions_of,
)
from separable.cli.bench_display import Display
from separable.cli.options import INTERRUPTED, Debug, Json
from separable.cli.output import Output
from separable.errors import UsageError

if TYPE_CHECKING:
    from separable.benchmarking.operators import Case
    from separable.benchmarking.outcome import ContestResult
    from separable.benchmarking.report import Report
    from separable.benchmarking.run import Rules

OPS_EXAMPLES = """
separable bench ops
separable bench ops --shape 8x728x19x19 16x128x147x147 --precision bf16
separable bench ops --only depthwise --kernel 5 --stride 2 --out results
"""
TRAIN_EXAMPLES = """
separable bench train
separable bench train xception --batch 16 --precision bf16 --peers timm torch-compile keras-tf
separable bench train xception inception_v3 --precision fp32 bf16 --seconds 600 --out results
separable bench train timm:efficientnet_b0 --side 224 --peers timm torch-tuned
separable bench train unet_xception --batch 16 --precision fp32 --peers torch-tuned keras-tf
"""
INFER_EXAMPLES = """
separable bench infer
separable bench infer mobilenet_v1 --batch 1 --side 224 --peers timm torch-compile
separable bench infer xception --batch 16 --precision fp32 bf16 --json > infer.json
"""

Models = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL...]", help="As in `separable models`, or timm:NAME.", show_default="xception"),
]
Peers = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME...",
        help="Besides ours: timm, timm-channels-last, torchvision, torch-eager, torch-channels-last, torch-tuned, "
        "torch-compile, torch-compile-tuned, keras-tf, keras-torch.",
        show_default="torch-tuned, and timm if it is installed",
    ),
]
Precisions = Annotated[
    list[str] | None,
    typer.Option(metavar="fp32|bf16...", help="Of the arithmetic.", show_default="bf16 where the processor has it"),
]
Batch = Annotated[int, typer.Option(metavar="N", min=1, help="Pictures in the batch.")]
Side = Annotated[
    int | None, typer.Option(metavar="PIXELS", min=1, help="Of the pictures.", show_default="the first network's own")
]
Rounds = Annotated[int, typer.Option(metavar="N", min=1, help="Steps of each, at most.")]
Seconds = Annotated[
    float, typer.Option(metavar="S", min=0, help="After which no further round begins; three are made in any case.")
]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A peer that ratios are against.", show_default="torch-tuned, or the first"),
]
KerasPython = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="The interpreter of an environment with TensorFlow.", show_default="in the cache"
    ),
]
Device = Annotated[str, typer.Option(metavar="cpu|cuda", help="Where to measure.")]
Out = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Write the result there: JSON, Markdown, SVG.", file_okay=False),
]


def ops(
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="NxCxHxW...", help="Of the input.", show_default="three of Xception's, 8 pictures"),
    ] = None,
    kernel: Annotated[int, typer.Option(metavar="SIDE", min=1, help="Of the depthwise convolution.")] = 3,
    stride: Annotated[int, typer.Option(metavar="N", min=1, help="Of the depthwise convolution.")] = 1,
    only: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Only operators whose name has them.", show_default=False)
    ] = None,
    precision: Precisions = None,
    rounds: Rounds = 7,
    device: Device = "cpu",
    out: Out = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Time single operators, forward and backward, in plain torch and in ours.

    Each as milliseconds, bytes and operations a second, and the share of what this machine can do at most, which is
    measured in the same run. What fails the gate is not timed: its error may be twice torch's own against fp64.
    """
    with Output(json) as output, ExitStack() as stack:
        check(device, out)
        from separable.benchmarking.operators import OPERATORS, SHAPES, Case, parse_shape
        from separable.benchmarking.run import Rules
        from separable.benchmarking.session import measured

        names = [name for name in OPERATORS if only is None or only.lower() in name]
        if not names:
            raise UsageError("No operator has these words in its name", got=only, expected=", ".join(OPERATORS))
        shapes = [parse_shape(text) for text in shape] if shape else SHAPES
        precisions = precisions_of(precision)
        cases = [Case(sides, kernel, stride, one, device) for one in precisions for sides in shapes]
        settings = stack.enter_context(_tuned())
        contests = _operators(cases, names, Rules(rounds), output)
        report = measured("ops", _command(), contests, precisions, device, runtime=settings.to_json())
        _finish(output, report, out)


def _contest(
    verb: Literal["train", "infer"], text: str, pictures: int, steps: int, limit: float
) -> Callable[..., None]:
    """Both verbs have the same options, with other numbers where none are given."""

    def command(
        model: Models = None,
        peers: Peers = None,
        batch: Batch = pictures,
        side: Side = None,
        precision: Precisions = None,
        baseline: Baseline = None,
        rounds: Rounds = steps,
        seconds: Seconds = limit,
        keras_python: KerasPython = None,
        device: Device = "cpu",
        out: Out = None,
        json: Json = False,
        debug: Debug = False,
    ) -> None:
        with Output(json) as output:
            check(device, out)
            from separable.benchmarking.network_contest import bench_networks
            from separable.benchmarking.peers.networks import task_for
            from separable.benchmarking.run import Rules
            from separable.benchmarking.session import measured

            names, precisions = model or ["xception"], precisions_of(precision)
            task = task_for(names[0], verb, batch, side, device)
            check_networks(names, task)
            contestants = contestants_of(names, precisions, task, peers_of(peers, baseline, keras_python))
            base = baseline_of(contestants, baseline)
            rules = Rules(rounds, seconds=seconds)
            display = Display(output, len(contestants))
            contests = (
                bench_networks(task, contestants, baseline=base, rules=rules, listener=display) for _ in range(1)
            )
            report = measured(verb, _command(), contests, precisions, device)
            display.close()
            _finish(output, report, out)

    command.__name__, command.__doc__ = verb, text
    return command


_AND_THEN = """from the same weights and pictures, against fp64. Then medians,
    ratios within each round, peak memory, and the share of what the machine's products allow. Ctrl-C keeps what has
    been measured.
    """
train = _contest(
    "train",
    f"""Time a training step of ours beside other people's tools, by turns, each in a process of its own.

    A network that segments learns every pixel. First a gate: loss and gradients of every contestant {_AND_THEN}""",
    pictures=16,
    steps=9,
    limit=90,
)
infer = _contest(
    "infer",
    f"""Time inference of ours beside other people's tools, by turns, each in a process of its own.

    First a gate: the logits of every contestant {_AND_THEN}""",
    pictures=1,
    steps=25,
    limit=60,
)


def _operators(
    cases: "Sequence[Case]", names: Sequence[str], rules: "Rules", output: Output
) -> "Iterator[ContestResult]":
    from separable.benchmarking.operator_contest import bench_operator
    from separable.benchmarking.operators import contestants_for

    wanted = [(case, name) for case in cases for name in names if contestants_for(case, name)]
    display = Display(output, 0)
    for number, (case, name) in enumerate(wanted, 1):
        display.contest(number, len(wanted), case.title(name))
        yield bench_operator(case, name, rules, display)
    display.close()


def _tuned() -> Any:
    from separable.machine.runtime import tune_runtime

    return tune_runtime()


def _command() -> str:
    """What was typed."""
    import shlex
    import sys

    return shlex.join(["separable", *sys.argv[1:]])


def _finish(output: Output, report: "Report", folder: Path | None) -> None:
    from separable.cli.bench_display import show

    show(output, report)
    paths = []
    if folder is not None:
        from separable.benchmarking.session import written

        paths = written(report, folder)
        output.say(f"\nWritten: {', '.join(map(str, paths))}")
    output.document({**report.to_json(), "files": [str(path) for path in paths]})
    if any(contest.interrupted for contest in report.contests):
        raise SystemExit(INTERRUPTED)
    from separable.benchmarking.report import OURS

    entries = [entry for contest in report.contests for entry in contest.entries]
    if not any(entry.seconds for entry in entries) or any(
        entry.verdict is not None and not entry.verdict.passed and entry.peer in OURS for entry in entries
    ):
        raise SystemExit(1)
