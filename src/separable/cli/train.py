"""`separable train`."""

from pathlib import Path
from typing import Annotated

import typer

from separable.cli.options import INTERRUPTED, Debug, Json, ModelOptions, key_values, picture_size
from separable.cli.output import Output
from separable.errors import UsageError

EXAMPLES = """
separable train flowers/
separable train flowers/ --model mobilenet_v1 --image-size 160 --run small
separable train flowers/ --run small --resume
separable train cats/ --image-size 160 --loss "cross_entropy + dice"
separable train album/labels.csv --image-size 160
separable train flowers/ --budget-ms 20 --dry-run
separable train flowers/ --no-accelerate --precision fp32
separable train flowers/ --set recipe.optimiser.learning_rate=0.01
"""
_NETWORK, _TRAINING, _DATA, _RUN = "The network", "The training", "The pictures", "The run"


def train(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="class/..., images/ with masks/, also in train/ and val/; or labels.csv (path,labels), or its folder.",
        ),
    ],
    task: Annotated[
        str,
        typer.Option(
            metavar="WHICH",
            help="classify (one class a picture), tag (several), segment (one a pixel), or auto: by network and DATA.",
            rich_help_panel=_TRAINING,
        ),
    ] = "auto",
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="As in `separable models`.",
            rich_help_panel=_NETWORK,
            show_default="xception; for masks unet_xception",
        ),
    ] = None,
    width: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Of its channels, such as 0.5.", rich_help_panel=_NETWORK, show_default=False
        ),
    ] = None,
    option: ModelOptions = None,
    image_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIDE|HxW", help="Picture size.", rich_help_panel=_NETWORK, show_default="the network's own"
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            metavar="WHICH",
            help="To start from: auto (published ones if they can be had), none, keras, or a file.",
            rich_help_panel=_NETWORK,
        ),
    ] = "auto",
    budget_ms: Annotated[
        float | None,
        typer.Option(
            metavar="MS",
            help="Pick network and size that answer within MS milliseconds on this machine.",
            rich_help_panel=_NETWORK,
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto (finetune, small, tags or segment), or a paper's: xception_imagenet, xception_jft, "
            "inception_v3, mobilenet, keras_unet.",
            rich_help_panel=_TRAINING,
        ),
    ] = "auto",
    loss: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help='Of masks: a sum of cross_entropy, dice and focal, such as "cross_entropy + 0.5 dice".',
            rich_help_panel=_TRAINING,
            show_default="the recipe's",
        ),
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            metavar="WHICH",
            help="Of masks: balanced lets rare classes count as much as frequent ones; or none.",
            rich_help_panel=_TRAINING,
            show_default="the recipe's",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Times each picture is seen.", rich_help_panel=_TRAINING, show_default="the recipe's"
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Pictures in a step; the learning rate follows.",
            rich_help_panel=_TRAINING,
            show_default="at most 32",
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="WHICH",
            help="auto (bf16 where the hardware multiplies it, else fp32), fp32 or bf16.",
            rich_help_panel=_TRAINING,
        ),
    ] = "auto",
    seed: Annotated[
        int, typer.Option(metavar="N", help="Of weights, order and augmentation.", rich_help_panel=_TRAINING)
    ] = 0,
    device: Annotated[
        str, typer.Option(metavar="WHICH", help="auto, cpu or cuda.", rich_help_panel=_TRAINING)
    ] = "auto",
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="On a GPU: the same bits every time, slower.", rich_help_panel=_TRAINING),
    ] = False,
    accelerate: Annotated[
        bool | None,
        typer.Option(
            help="Let the CPU kernels serve the layers for which they are faster, in all but short trainings.",
            rich_help_panel=_TRAINING,
            show_default="accelerate",
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other entry of config.yaml, such as recipe.augment.flip=false; can be repeated.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    val_fraction: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Held out where there is no val folder.", rich_help_panel=_DATA),
    ] = 0.2,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Corrected labels: path,label.", rich_help_panel=_DATA, show_default=False),
    ] = None,
    max_bad: Annotated[
        float,
        typer.Option(metavar="SHARE", min=0, max=1, help="Of unreadable pictures, that stops.", rich_help_panel=_DATA),
    ] = 0.05,
    check: Annotated[bool, typer.Option(help="Look at every picture first.", rich_help_panel=_DATA)] = True,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Processes that read pictures; changes no result.",
            rich_help_panel=_RUN,
            show_default="by the cores",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Below runs/, or a path.", rich_help_panel=_RUN, show_default="the data's name"
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the same command stopped.", rich_help_panel=_RUN)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be done and what it would take, and stop.", rich_help_panel=_RUN
        ),
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a network on a folder of pictures for each class, on pictures with several labels each, or with masks.

    Starts from published weights where they can be had, else from scratch, and says which. Writes runs/NAME with the
    model, its evaluation and report.html. Ctrl-C saves and stops; --resume goes on to the very same result.
    """
    from separable.cli.job import job_for
    from separable.cli.settings import Wishes
    from separable.cli.tasks import tell_task
    from separable.cli.training import Plan, carry_out
    from separable.machine.runtime import tune_runtime

    chosen = {"--model": model, "--width": width, "--option": option, "--image-size": image_size}
    contradicting = [flag for flag, value in chosen.items() if value is not None and value != []]
    if budget_ms is not None and contradicting:
        raise UsageError(
            "--budget-ms picks the network and its picture size itself",
            got=f"also {', '.join(contradicting)}",
            fix="Leave one or the other out",
        )
    options = key_values(option, "--option") | ({} if width is None else {"width": width})
    tune_runtime(pin=False, cudnn=False)  # before torch is imported; what depends on the device, the training sets
    told = tell_task(data, task, model)
    wishes = Wishes(
        task=told,
        model=model or job_for(told).network,
        options=options,
        weights=weights,
        image_size=picture_size(image_size),
        recipe=recipe,
        epochs=epochs,
        batch=batch,
        precision=precision,
        device=device,
        deterministic=deterministic,
        accelerate=accelerate,
        workers=workers,
        seed=seed,
        val_fraction=val_fraction,
        labels=labels,
        max_bad=max_bad,
        loss=loss,
        class_weights=class_weights,
        settings=key_values(setting, "--set"),
    )
    plan = Plan(data, wishes, run, resume, dry_run, check, budget_ms)
    with Output(json) as out:
        interrupted = carry_out(plan, out)
    if interrupted:
        raise SystemExit(INTERRUPTED)
