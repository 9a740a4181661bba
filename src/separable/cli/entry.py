"""`main`: run a verb, and turn whatever happens into one message and an exit code."""

import json
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn, TextIO

from separable.cli.options import INTERRUPTED
from separable.cli.output import write_lines
from separable.errors import OutputError, SeparableError, UsageError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `separable ARGUMENTS` (default: the process's own) and exit: 0 success, 2 usage error, 1 otherwise."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _write_any_name(sys.stdout)
    _write_any_name(sys.stderr)
    code = 0
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = _run(given)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader (head, less) went away; without this Python would complain once more at exit.
            _drop_output()
            code = 1
        except OSError as error:  # what was still to be written, after the verb has done its work or said why not
            _drop_output()
            code = code or _report(_refusal(error), [])
    sys.exit(code)


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(given: list[str]) -> int:
    from typer import TyperException

    from separable.cli.app import app

    try:
        code = app(given, prog_name="separable", standalone_mode=False)
    except SeparableError as error:
        return _report(error, given)
    except TyperException as error:
        return _report(_as_usage_error(error), given)
    except BrokenPipeError:
        raise
    except OSError as error:  # not foreseen where it happened, yet trouble of the machine and not of this program
        return _report(_refusal(error), given)
    except Exception as error:
        return _report_bug(error, given)
    if code == INTERRUPTED:
        _tell("\nInterrupted.")
    return code if isinstance(code, int) else 0


def _refusal(error: OSError) -> SeparableError:
    where = f" {os.fsdecode(error.filename)}" if error.filename else ""
    return OutputError(f"The system refused to read or write{where}", got=error.strerror or error)


def _as_usage_error(error: Exception) -> SeparableError:
    """What typer's parser found wrong with the command line, in the form of our own errors."""
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "separable")
    message = getattr(error, "format_message", lambda: str(error))()
    return UsageError(message, fix=f"`{command} --help` shows what can be given, with an example")


def _report(error: SeparableError, given: list[str]) -> int:
    """One message on standard error; with --json also the same as the one document on standard output."""
    parts = {"got": error.got, "expected": error.expected, "to do": error.fix}
    lines = [f"separable: {error.what}"]
    for name, said in parts.items():
        if said is not None:
            first, *more = str(said).splitlines() or [""]
            lines += [f"  {name:<10}{first}", *(f"{'':<12}{line}" for line in more)]
    _tell("\n".join(lines))
    _explain(error, given, type(error).__name__)
    return error.exit_code


def _report_bug(error: Exception, given: list[str]) -> int:
    said = f"{type(error).__name__}: {error}".strip()
    _tell(
        f"separable: something went wrong that should not have: {said}\n"
        "  to do     run the same command with --debug added, and report what it and `separable doctor` print"
    )
    _explain(error, given, "unexpected")
    return 1


def _explain(error: Exception, given: list[str], kind: str) -> None:
    if "--debug" in given:
        traceback.print_exception(error, file=sys.stderr)
    if "--json" in given:
        parts = {name: getattr(error, name, None) for name in ("what", "got", "expected", "fix")}
        said = {name: str(value) for name, value in parts.items() if value is not None}
        with suppress(OSError):  # standard output may be what is broken, and that has been said
            sys.stdout.write(json.dumps({"error": {"kind": kind, "message": str(error), **said}}, indent=2) + "\n")


def _tell(text: str) -> None:
    write_lines(sys.stderr, text)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """A warning is for the person at the terminal, who has no use for our file names and line numbers."""
    _tell(f"separable: warning: {message}")


def _write_any_name(stream: TextIO) -> None:
    """File names may hold what the terminal's encoding cannot; escape it rather than fail."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
