"""Help, version and start-up: what somebody sees first."""

import subprocess
import sys
from itertools import pairwise

import pytest

from separable import __version__
from tests.cli.conftest import Cli
from tests.cli.test_frozen_flags import FROZEN


@pytest.mark.parametrize("verb", FROZEN)
def test_every_verb_has_help_with_an_example(cli: Cli, verb: str) -> None:
    outcome = cli(*verb.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    head, _, examples = outcome.out.partition("\nExamples:\n")
    assert head.startswith(f"Usage: separable {verb} [OPTIONS]")
    assert f"  separable {verb}" in examples or f"| separable {verb}" in examples
    assert all(len(line) <= 100 for line in outcome.out.splitlines())
    assert "{" not in head.splitlines()[0]


def test_bare_command_shows_the_verbs(cli: Cli) -> None:
    outcome = cli()
    assert outcome.code == 0
    assert all(f"\n  {verb.split()[0]} " in outcome.out for verb in FROZEN)
    assert cli("--help").out == outcome.out


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["train", "--help"], ["predict", "--help"], ["bench", "train", "--help"]]
)
def test_answers_without_importing_what_is_slow_to_import(arguments: list[str]) -> None:
    """What the time to the answer hangs on, without a clock: the modules read on the way."""
    code = (
        "import sys\nfrom separable.cli import main\ntry:\n  main(sys.argv[1:])\nexcept SystemExit as end:\n"
        "  heavy = {'torch', 'numpy', 'PIL', 'yaml', 'h5py', 'safetensors', 'rich'} & set(sys.modules)\n"
        "  heavy |= {f'{len(sys.modules)} modules'} if len(sys.modules) > 400 else set()\n"
        "  sys.exit(f'imported {heavy}' if heavy else end.code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"separable {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian", "x"], "No such command 'trian'"),
        (["train"], "Missing argument 'DATA'"),
        (["train", "x", "--epoch", "3"], "No such option: --epoch"),
        (["predict", "x"], "Missing argument 'PICTURES...'"),
        (["predict", "x", "y", "--top", "many"], "'many' is not a valid int"),
        (["profile", "xception", "--size", "big"], "A picture size is a side or height x width"),
        (["profile", "xception", "--option", "width"], "--option takes a name and a value"),
        (["models", "xeption"], "xception"),
        (["check"], "Nothing to check"),
    ],
)
def test_usage_errors_end_with_2_and_say_what_helps(cli: Cli, arguments: list[str], said: str) -> None:
    outcome = cli(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert said in outcome.err
    first, *rest = outcome.err.strip().splitlines()
    assert first.startswith("separable: ")
    assert all(line.startswith(("  got  ", "  expected  ", "  to do  ")) for line in rest), outcome.err
    assert all(len(a) and len(b) for a, b in pairwise(rest))


def test_json_errors_are_one_document(cli: Cli) -> None:
    import json

    outcome = cli("models", "xeption", "--json")
    error = json.loads(outcome.out)["error"]
    assert error["kind"] == "UnknownModelError"
    assert "xception" in error["fix"]
    assert "There is no model 'xeption'" in outcome.err


def test_debug_shows_the_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    from separable.cli import main

    with pytest.raises(SystemExit):
        main(["models", "xeption", "--debug"])
    assert "Traceback" in capfd.readouterr().err
