"""`separable models` on a terminal of 80 columns."""

import io
import sys

import pytest

from separable.cli.models import models
from separable.models import list_models, model_spec


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_eighty_columns_break_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    models(None)
    rows = [line.split() for line in terminal.getvalue().splitlines()[1:]]
    assert [row[0] for row in rows] == list_models(), "one line for each, its name whole"
    assert [row[-1] for row in rows] == [model_spec(name).paper for name in list_models()]
