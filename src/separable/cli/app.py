"""The verbs, in the order a newcomer meets them, and how their help is laid out."""

from collections import defaultdict
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from separable.cli.bench import INFER_EXAMPLES, OPS_EXAMPLES, TRAIN_EXAMPLES, infer, ops
from separable.cli.bench import train as bench_train
from separable.cli.check import EXAMPLES as CHECK
from separable.cli.check import check
from separable.cli.compare import EXAMPLES as COMPARE
from separable.cli.compare import compare
from separable.cli.convert import EXAMPLES as CONVERT
from separable.cli.convert import convert
from separable.cli.demo import EXAMPLES as DEMO
from separable.cli.demo import demo
from separable.cli.doctor import EXAMPLES as DOCTOR
from separable.cli.doctor import doctor
from separable.cli.draw import EXAMPLES as DRAW
from separable.cli.draw import draw
from separable.cli.evaluate import EXAMPLES as EVALUATE
from separable.cli.evaluate import evaluate
from separable.cli.explain import EXAMPLES as EXPLAIN
from separable.cli.explain import explain
from separable.cli.models import EXAMPLES as MODELS
from separable.cli.models import models
from separable.cli.predict import EXAMPLES as PREDICT
from separable.cli.predict import predict
from separable.cli.profile import EXAMPLES as PROFILE
from separable.cli.profile import profile
from separable.cli.reproduce import EXAMPLES as REPRODUCE
from separable.cli.reproduce import reproduce
from separable.cli.train import EXAMPLES as TRAIN
from separable.cli.train import train

__all__ = ["app"]

_VERBS = (
    (demo, DEMO),
    (train, TRAIN),
    (evaluate, EVALUATE),
    (predict, PREDICT),
    (explain, EXPLAIN),
    (check, CHECK),
    (models, MODELS),
    (profile, PROFILE),
    (draw, DRAW),
    (convert, CONVERT),
    (reproduce, REPRODUCE),
    (compare, COMPARE),
    (doctor, DOCTOR),
)
_CONTESTS: tuple[tuple[Callable[..., None], str, str], ...] = (
    (ops, "ops", OPS_EXAMPLES),
    (bench_train, "train", TRAIN_EXAMPLES),
    (infer, "infer", INFER_EXAMPLES),
)
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Verb(TyperCommand):
    """Help without boxes: usage, what it does, arguments, options under their headings, examples as typed.

    Options in `lists` take several values, with or without the option's name before each.
    """

    lists: tuple[str, ...] = ("--ensemble",)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spread: list[str] = []
        option, values = "", 0
        for word in args:
            if word.startswith("-"):
                option, values = (word if word in self.lists else ""), 0
            elif option:
                spread += [option] if values else []
                values += 1
            spread.append(word)
        return super().parse_args(ctx, spread)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        pieces = [
            piece.strip("{}") for piece in self.collect_usage_pieces(ctx)
        ]  # typer puts what is required in braces
        formatter.write_usage(ctx.command_path, " ".join(pieces))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
            if record is not None:
                sections[getattr(parameter, "rich_help_panel", None) or kind].append(record)
        last = sections.pop("Options", [])  # --json, --debug and --help, after the ones a user is looking for
        for heading, records in [*sections.items(), ("Options", last)]:
            with formatter.section(heading):
                formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Examples"):
            for line in (self.epilog or "").strip().splitlines():
                formatter.write(f"  {line}\n")


class _Contest(_Verb):
    lists = ("--peers", "--precision", "--shape")


def _version(wanted: bool) -> None:
    if wanted:
        from separable import __version__

        typer.echo(f"separable {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="separable",
    help="Train, measure and use image models made of depthwise separable convolutions and Inception modules.",
    epilog="Start with `separable demo`, then `separable train` on a folder of your own pictures.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_SETTINGS,
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for _function, _examples in _VERBS:
    app.command(cls=_Verb, epilog=_examples, context_settings=_SETTINGS)(_function)

_bench = typer.Typer(
    name="bench",
    help="Time ours beside other people's tools, step by step in turns, in one run.",
    epilog="Each has examples of its own: separable bench train --help.",
    rich_markup_mode=None,
    context_settings=_SETTINGS,
)


@_bench.callback(invoke_without_command=True)
def _bench_root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for _contest, _name, _examples in _CONTESTS:
    _bench.command(_name, cls=_Contest, epilog=_examples, context_settings=_SETTINGS)(_contest)
app.add_typer(_bench)
