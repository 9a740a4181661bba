"""`separable bench ops | train | infer`."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from separable.cli.bench_display import Display
from separable.cli.options import INTERRUPTED, Debug, Json
from separable.cli.output import Output
from separable.errors import UsageError

if TYPE_CHECKING:
    from separable.benchmarking.contest import Contestant, Peer, Task
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
"""
INFER_EXAMPLES = """
separable bench infer
separable bench infer mobilenet_v1 --batch 1 --side 224 --peers timm torch-compile
separable bench infer xception --batch 16 --precision fp32 bf16 --json > infer.json
"""
_USUAL = ("torch-tuned", "timm")
_OURS = "ours"

Models = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL...]", help="As in `separable models`, or timm:NAME.", show_default="xception"),
]
Peers = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME...",
        help="Besides ours: timm, timm-channels-last, torchvision, torch-eager, torch-channels-last, torch-tuned, "
        "torch-compile, keras-tf.",
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
        _check(device, out)
        from separable.benchmarking.operators import OPERATORS, SHAPES, Case, parse_shape
        from separable.benchmarking.run import Rules
        from separable.benchmarking.session import measured

        names = [name for name in OPERATORS if only is None or only.lower() in name]
        if not names:
            raise UsageError("No operator has these words in its name", got=only, expected=", ".join(OPERATORS))
        shapes = [parse_shape(text) for text in shape] if shape else SHAPES
        precisions = _precisions(precision)
        cases = [Case(sides, kernel, stride, one, device) for one in precisions for sides in shapes]
        settings = stack.enter_context(_tuned())
        contests = _operators(cases, names, Rules(rounds), output)
        report = measured("ops", _command(), contests, precisions, device, runtime=settings.to_json())
        _finish(output, report, out)


def train(
    model: Models = None,
    peers: Peers = None,
    batch: Batch = 16,
    side: Side = None,
    precision: Precisions = None,
    baseline: Baseline = None,
    rounds: Rounds = 9,
    seconds: Seconds = 90,
    keras_python: KerasPython = None,
    device: Device = "cpu",
    out: Out = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Time a training step of ours beside other people's tools: A B C A B C, each in a process of its own.

    First a gate: loss and gradients of every contestant from the same weights and pictures, against fp64. Then medians,
    ratios within each round, peak memory, and the share of what the machine's products allow. Ctrl-C keeps what has
    been measured.
    """
    _networks("train", model, peers, batch, side, precision, baseline, rounds, seconds, keras_python, device, out, json)


def infer(
    model: Models = None,
    peers: Peers = None,
    batch: Batch = 1,
    side: Side = None,
    precision: Precisions = None,
    baseline: Baseline = None,
    rounds: Rounds = 25,
    seconds: Seconds = 60,
    keras_python: KerasPython = None,
    device: Device = "cpu",
    out: Out = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Time inference of ours beside other people's tools: A B C A B C, each in a process of its own.

    First a gate: the logits of every contestant from the same weights and pictures, against fp64. Then medians, ratios
    within each round, peak memory, and the share of what the machine's products allow. Ctrl-C keeps what has been
    measured.
    """
    _networks("infer", model, peers, batch, side, precision, baseline, rounds, seconds, keras_python, device, out, json)


def _networks(
    verb: Literal["train", "infer"],
    models: list[str] | None,
    peers: list[str] | None,
    batch: int,
    side: int | None,
    precision: list[str] | None,
    baseline: str | None,
    rounds: int,
    seconds: float,
    keras_python: Path | None,
    device: str,
    out: Path | None,
    json: bool,
) -> None:
    with Output(json) as output:
        _check(device, out)
        from separable.benchmarking.contest import Task
        from separable.benchmarking.network_contest import bench_networks
        from separable.benchmarking.run import Rules
        from separable.benchmarking.session import measured

        names, precisions = models or ["xception"], _precisions(precision)
        task = Task(verb, batch, side or _own_side(names[0]), device=device)
        _check_networks(names, task)
        contestants = _contestants(names, precisions, task, _peers(peers, baseline, keras_python))
        base = _baseline(contestants, baseline)
        rules = Rules(rounds, seconds=seconds)
        display = Display(output, len(contestants))
        contests = (bench_networks(task, contestants, baseline=base, rules=rules, listener=display) for _ in range(1))
        report = measured(verb, _command(), contests, precisions, device)
        display.close()
        _finish(output, report, out)


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


def _check(device: str, out: Path | None) -> None:
    from separable.files import make_directory
    from separable.training.device import demand_device

    if device != "cpu" and not device.startswith("cuda"):
        raise UsageError("Unknown --device", got=device, expected="cpu or cuda")
    demand_device(device)
    if out is not None:
        make_directory(out)


def _precisions(given: list[str] | None) -> list[str]:
    from separable.machine.ceilings import PRECISIONS, has_fast_bf16

    if not given:
        return ["bf16" if has_fast_bf16() else "fp32"]
    unknown = [name for name in given if name not in PRECISIONS]
    if unknown:
        raise UsageError("Unknown --precision", got=unknown[0], expected=" or ".join(PRECISIONS))
    return list(dict.fromkeys(given))


def _tuned() -> Any:
    from separable.machine.runtime import tune_runtime

    return tune_runtime()


def _own_side(network: str) -> int:
    from separable.benchmarking.peers.networks import is_borrowed
    from separable.models import model_spec

    return 224 if is_borrowed(network) else int(model_spec(network).input.size[0])


def _check_networks(names: Sequence[str], task: "Task") -> None:
    """Whatever is wrong with a name or a size is said before anything takes time."""
    from separable.benchmarking.referee import work_of

    for name in names:
        work_of(name, task)


def _peers(given: list[str] | None, baseline: str | None, keras_python: Path | None) -> "list[Peer]":
    """Ours, and those asked for; a usual one that is not installed is left out."""
    from separable.benchmarking.peers import PEERS, keras_peer
    from separable.errors import MissingExtraError

    known = {**PEERS, "keras-tf": keras_peer(keras_python)}
    asked = [_OURS, *(given or _USUAL), *([baseline] if baseline else [])]
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise UsageError("There is no such peer", got=unknown[0], expected=", ".join(known))
    found = []
    for name in dict.fromkeys(asked):
        try:
            known[name].demand()
        except MissingExtraError:
            if given is not None or name == baseline:
                raise
            continue
        found.append(known[name])
    return found


def _contestants(
    names: Sequence[str], precisions: Sequence[str], task: "Task", peers: "Sequence[Peer]"
) -> "list[Contestant]":
    from separable.benchmarking.network_contest import named_apart

    found = [
        contestant
        for network in names
        for precision in precisions
        for peer in peers
        for contestant in peer.contestants(network, precision, task)
    ]
    absent = [peer.name for peer in peers if not any(one.peer == peer.name for one in found)]
    if absent:
        raise UsageError(
            f"{absent[0]} has none of these networks in this precision", got=f"{', '.join(names)}, {precisions[0]}"
        )
    return named_apart(found)


def _baseline(contestants: "Sequence[Contestant]", asked: str | None) -> str:
    """The name of a contestant: of the peer asked for, of tuned torch, or the first that is not ours."""
    for peer in (asked, "torch-tuned"):
        found = [one.name for one in contestants if one.peer == peer]
        if found:
            return found[0]
    return next((one.name for one in contestants if one.peer != _OURS), contestants[0].name)


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
