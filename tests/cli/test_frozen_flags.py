"""The verbs and flags are a promise: changing them means changing this list, on purpose."""

from typing import Any

import typer.main

from separable.cli.app import app

COMMON = ["--debug", "--help", "--json", "-h"]
_CONTEST = [
    *("--baseline", "--batch", "--device", "--keras-python", "--out", "--peers", "--precision", "--rounds"),
    *("--seconds", "--side"),
]
FROZEN = {
    "demo": ["--photos", "--seed", "--task"],
    "train": [
        "DATA",
        *("--accelerate", "--no-accelerate"),
        *("--batch", "--budget-ms", "--check", "--class-weights", "--deterministic", "--device", "--dry-run"),
        *("--epochs", "--image-size", "--labels", "--loss", "--max-bad", "--model", "--no-check", "--option"),
        *("--precision", "--recipe", "--resume", "--run", "--seed", "--set", "--task", "--val-fraction", "--weights"),
        *("--width", "--workers"),
    ],
    "evaluate": [
        *("--accelerate", "--batch", "--crops", "--ensemble", "--flips", "--out", "--part", "--workers", "RUN"),
        "[DATA]",
    ],
    "predict": [
        *("--backend", "--batch", "--flips", "--out", "--outlines", "--overlap", "--overlay", "--reject", "--tile"),
        *("--threshold", "--top", "MODEL", "PICTURES..."),
    ],
    "explain": [
        *("--class", "--layer", "--method", "--out", "--pixels", "--png", "--size", "--steps", "IMAGE...", "RUN"),
    ],
    "check": ["--labels", "--out", "--task", "--workers", "[DATA]"],
    "models": ["[NAME]"],
    "profile": [
        *("--batch", "--device", "--html", "--input", "--measure", "--no-measure", "--option", "--precision", "--size"),
        "MODEL",
    ],
    "draw": ["--input", "--layers", "--option", "--out", "--size", "--theme", "MODEL"],
    "convert": [
        *("--allow-difference", "--model", "--numerics", "--option", "--release", "--to", "--verify", "DST", "SRC"),
    ],
    "reproduce": ["--all", "--data", "--home", "--list", "--processes", "--scale", "--seeds", "[NAME...]"],
    "compare": [
        *("--batch", "--data", "--device", "--epochs", "--home", "--image-size", "--pixels", "--processes", "--recipe"),
        *("--seeds", "--tune", "NETWORK..."),
    ],
    "doctor": ["--batch", "--input", "--option", "--size", "[MODEL]"],
    "bench ops": ["--device", "--kernel", "--only", "--out", "--precision", "--rounds", "--shape", "--stride"],
    "bench train": [*_CONTEST, "[MODEL...]"],
    "bench infer": [*_CONTEST, "[MODEL...]"],
}


def names(command: Any) -> list[str]:
    context = typer.main.get_command(app).make_context("separable", [], resilient_parsing=True)
    found = [
        name
        for parameter in command.get_params(context)
        for name in (
            [parameter.metavar]
            if parameter.param_type_name == "argument"
            else [*parameter.opts, *parameter.secondary_opts]
        )
    ]
    return sorted(found)


def test_verbs_and_flags_are_frozen() -> None:
    group: Any = typer.main.get_command(app)
    found = {}
    for verb, command in group.commands.items():
        found |= {f"{verb} {name}": one for name, one in getattr(command, "commands", {}).items()} or {verb: command}
    assert list(found) == list(FROZEN)
    for verb, expected in FROZEN.items():
        assert names(found[verb]) == sorted([*expected, *COMMON]), f"the flags of `separable {verb}` changed"


def test_train_stays_small() -> None:
    assert len(FROZEN["train"]) <= 30, "group what is rarely set under --set"
