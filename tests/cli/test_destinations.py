"""Where a verb cannot write it says so before it works, in the words in which writing would have failed."""

from pathlib import Path

import pytest

from separable.cli import explaining
from separable.errors import OutputError
from separable.files import demand_writable, write_text_atomically
from tests.cli.conftest import Cli


def test_the_same_words_early_and_late(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "no" / "x.html", tmp_path / "file" / "x.html", tmp_path):
        with pytest.raises(OutputError) as early:
            demand_writable(path)
        with pytest.raises(OutputError) as late:
            write_text_atomically(path, "")
        assert early.value.what == late.value.what == f"Cannot write {path}"
    demand_writable(tmp_path / "x.html")
    demand_writable(tmp_path / "no" / "deeper" / "x.html", makes_folders=True)
    with pytest.raises(OutputError, match="Cannot write"):
        demand_writable(tmp_path / "file" / "deeper" / "x.html", makes_folders=True)


def test_explain_looks_before_it_computes(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "Explainer", None)
    (tmp_path / "file").write_text("")
    for out in ("file/pages", "file/x.html", "file"):
        outcome = cli("explain", "xception", "cat.jpg", "--out", out)
        assert (outcome.code, outcome.out) == (1, "")
        assert "Cannot write file/" in outcome.err
