"""What the verbs print and write when everything is right."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from separable.models import list_models
from tests.cli.conftest import QUICK, TRAINED, Cli, write_pictures


def document(text: str) -> Any:
    """The one JSON document that standard output holds."""
    return json.loads(text)


def test_train_tells_a_story_and_leaves_a_run(cli: Cli, colours: Path, tmp_path: Path) -> None:
    outcome = cli("train", colours, *QUICK, "--epochs", "3")
    assert outcome.code == 0
    assert "36 pictures in 3 classes: 30 to train on, 6 held out." in outcome.out
    assert "Starting xception from scratch." in outcome.err
    assert "Recipe small; everything goes to runs/colours." in outcome.out
    assert "% of the 6 held-out pictures named right." in outcome.out
    run = tmp_path / "runs" / "colours"
    assert f"separable predict {run.relative_to(tmp_path)} PICTURES..." in outcome.out
    for name in (
        "config.yaml",
        "metrics.jsonl",
        "report.html",
        "evaluation.json",
        "check.json",
        "model",
        "profile.json",
    ):
        assert (run / name).exists(), name
    assert "epoch 3: loss" in outcome.err
    again = cli("train", colours, *QUICK, "--json")
    assert document(again.out)["run"] == "runs/colours-2"


def test_dry_run_estimates_and_stops(cli: Cli, colours: Path, tmp_path: Path) -> None:
    outcome = cli("train", colours, *QUICK, "--dry-run", "--json")
    told = document(outcome.out)
    assert told["dry_run"] is True
    assert "Nothing was trained; it would start from scratch." in outcome.err
    assert told["estimate"]["parameters"] > 10_000
    assert told["estimate"]["seconds"] > 0
    assert told["config"]["model"]["options"]["width"] == 0.0625
    assert not (tmp_path / "runs").exists()


def test_resume_finds_the_run_by_the_data_and_goes_on(cli: Cli, colours: Path, tmp_path: Path) -> None:
    arguments = ("train", colours, *QUICK, "--epochs", "2")
    assert cli(*arguments, "--resume").code == 0, "nothing to resume is a fresh start"
    run = tmp_path / "runs" / "colours"
    before = (run / "metrics.jsonl").read_text().splitlines()
    outcome = cli(*arguments, "--resume")
    assert outcome.code == 0
    assert "after step 10 of 10" in outcome.err
    assert (run / "metrics.jsonl").read_text().splitlines() == before
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == ["colours"]


def test_ctrl_c_saves_and_says_how_to_go_on(colours: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "separable",
        "train",
        str(colours),
        *QUICK,
        "--epochs",
        "9999",
        "--no-check",
        "--json",
    ]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if line.startswith("epoch 1:"):
                process.send_signal(signal.SIGINT)
                break
        out, rest = process.communicate(timeout=60)
    said += rest
    assert process.returncode == 130, said
    assert "Go on with the same command and these options:  --run runs/colours --resume\n" in said
    assert "Traceback" not in said
    assert document(out)["interrupted"] is True
    assert any((tmp_path / "runs" / "colours" / "checkpoints").iterdir())
    assert (tmp_path / "runs" / "colours" / "report.html").is_file()


def test_settings_reach_the_configuration(cli: Cli, colours: Path) -> None:
    settings = ("--set", "recipe.optimiser.momentum=0.5", "--set", "accumulate=2", "--option", "dropout=0.25")
    outcome = cli("train", colours, *QUICK, "--dry-run", "--json", *settings)
    config = document(outcome.out)["config"]
    assert config["recipe"]["optimiser"]["momentum"] == 0.5
    assert config["accumulate"] == 2
    assert config["model"]["options"]["dropout"] == 0.25


def test_evaluate_renews_the_runs_own_figures(cli: Cli, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    before = document((run / "evaluation.json").read_text())
    (run / "evaluation.json").unlink()
    outcome = cli("evaluate", run)
    assert outcome.code == 0
    assert "6 pictures: " in outcome.out
    assert "\nblue\t2\t" in outcome.out
    after = document((run / "evaluation.json").read_text())
    assert (after["n"], after["top1"], after["set"]) == (before["n"], before["top1"], "val")
    assert after["loss"] == pytest.approx(before["loss"], abs=1e-5)


def test_evaluate_elsewhere_leaves_the_run_alone(cli: Cli, trained: Path, colours: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    before = (run / "evaluation.json").read_bytes()
    outcome = cli("evaluate", run, colours, "--json")
    told = document(outcome.out)
    assert told["n"] == 36
    assert told["out"] == str(run / "evaluations" / "colours")
    assert len((run / "evaluations" / "colours" / "predictions.csv").read_text().splitlines()) == 37
    assert (run / "evaluation.json").read_bytes() == before
    assert document(cli("evaluate", run, "--part", "train", "--json").out)["n"] == 30


def test_evaluate_says_when_the_pictures_have_moved(cli: Cli, colours: Path, tmp_path: Path) -> None:
    shutil.copytree(colours, tmp_path / "here")
    assert cli("train", "here", *QUICK, "--no-check").code == 0
    (tmp_path / "here").rename(tmp_path / "there")
    outcome = cli("evaluate", "runs/here")
    assert outcome.code == 1
    assert "The pictures of runs/here are not where they were" in outcome.err
    assert cli("evaluate", "here", "there", "--part", "val").code == 0


def test_predict_prints_plain_lines_into_a_pipe(cli: Cli, trained: Path, colours: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "new", 3, 0.0)
    (tmp_path / "new" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    outcome = cli("predict", trained, "new", colours / "blue" / "0.png", "missing.png")
    assert outcome.code == 0
    rows = [line.split("\t") for line in outcome.out.splitlines()]
    assert [Path(row[0]).name for row in rows] == ["0.png", "1.png", "2.png", "broken.jpg", "0.png", "missing.png"]
    assert [row[1] for row in rows[:3]] == ["red"] * 3
    assert rows[4][1] == "blue"
    assert 0 < float(rows[4][2]) <= 1
    assert rows[3][1].startswith("error: ")
    assert rows[5][1] == "error: cannot be read: No such file or directory"


def test_predict_fails_only_when_everything_failed(cli: Cli, trained: Path) -> None:
    outcome = cli("predict", trained, "a.png", "b.png")
    assert outcome.code == 1
    assert outcome.out.count("error: ") == 2


def test_predict_reads_names_from_standard_input(
    cli: Cli, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "a b", 2, 0.6)
    monkeypatch.setattr(sys, "stdin", io.StringIO("a b/0.png\n\na b/1.png\r\n"))
    outcome = cli("predict", trained, "-", "--json", "--top", "3")
    rows = document(outcome.out)
    assert [row["path"] for row in rows] == ["a b/0.png", "a b/1.png"]
    assert [row["answer"] for row in rows] == ["blue", "blue"]
    assert sorted(entry["class"] for entry in rows[0]["top"]) == ["blue", "green", "red"]
    assert sum(entry["probability"] for entry in rows[0]["top"]) == pytest.approx(1, abs=1e-5)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "Standard input named no picture" in cli("predict", trained, "-").err


def test_predict_writes_csv_jsonl_and_parquet_alike(cli: Cli, trained: Path, colours: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    arguments = ("predict", trained, f"{colours}/**/1*.png", "bad.png", "--top", "2", "--out")
    for name in ("answers.csv", "answers.jsonl", "answers.parquet"):
        outcome = cli(*arguments, name)
        assert outcome.code == 0
        assert outcome.out == f"{name}: 9 pictures answered, 1 could not be read (their rows say why)\n"
    with open("answers.csv", newline="") as handle:
        lines = list(csv.DictReader(handle))
    objects = [json.loads(line) for line in Path("answers.jsonl").read_text().splitlines()]
    from pyarrow import parquet

    table = parquet.read_table("answers.parquet").to_pylist()
    assert list(lines[0]) == list(table[0])
    assert list(lines[0])[:4] == ["path", "answer", "confidence", "error"]
    assert len(lines) == len(objects) == len(table) == 10
    for line, one, row in zip(lines, objects, table, strict=True):
        assert line["path"] == one["path"] == row["path"]
        assert (line["answer"] or None) == one["answer"] == row["answer"]
        if one["error"] is None:
            assert float(line["probability_2"]) == pytest.approx(row["probability_2"], abs=1e-6)
            assert one["top"][1]["class"] == line["class_2"] == row["class_2"]
    assert lines[-1]["error"] == "empty file"


def test_reject_says_i_do_not_know(cli: Cli, trained: Path, colours: Path, tmp_path: Path) -> None:
    run = tmp_path / "strict"
    shutil.copytree(trained, run)
    stored = document((run / "evaluation.json").read_text())
    stored["calibration"]["reject_threshold"] = 1.01
    (run / "evaluation.json").write_text(json.dumps(stored))
    picture = colours / "red" / "0.png"
    assert "\tI do not know\t" in cli("predict", run, picture, "--reject").out
    assert "I do not know" not in cli("predict", run, picture).out
    row = document(cli("predict", run, picture, "--reject", "--json").out)[0]
    assert (row["answer"], row["rejected"], row["top"][0]["class"]) == (None, True, "red")
    assert "0 pictures answered, 1 not known" in cli("predict", run, picture, "--reject", "--out", "x.csv").out
    with open("x.csv", newline="") as handle:
        assert [(row["answer"], row["rejected"]) for row in csv.DictReader(handle)] == [("", "True")]


def test_check_exits_with_1_when_training_would_mislead(cli: Cli, colours: Path, tmp_path: Path) -> None:
    outcome = cli("check", colours, "--json")
    assert outcome.code == 0
    assert document(outcome.out)["misleading"] is False
    leaky = tmp_path / "leaky"
    for part in ("train", "val"):
        shutil.copytree(colours, leaky / part)
    outcome = cli("check", leaky)
    assert outcome.code == 1
    assert "would mislead" in outcome.out
    assert "Written to runs/checks/leaky: check.json, check.csv." in outcome.out
    assert document((tmp_path / "runs" / "checks" / "leaky" / "check.json").read_text())["misleading"] is True


def test_check_labels_lists_what_the_run_doubts(cli: Cli, trained: Path, colours: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "suspects.csv").write_text("path,label,suggested,score\nred/3.png,red,blue,0.98\nred/4.png,red,green,0.7\n")
    outcome = cli("check", "--labels", run)
    assert outcome.code == 0
    assert "2 labels are probably wrong" in outcome.out
    assert "red/3.png\tred\tblue\t0.980" in outcome.out
    assert f"--labels {run}/suspects.csv" in outcome.out
    (run / "suspects.csv").write_text("path,label,suggested,score\nred/3.png,blue,blue,0.98\nred/4.png,,green,0.7\n")
    told = document(cli("train", colours, *QUICK, "--labels", run / "suspects.csv", "--dry-run", "--json").out)
    assert told["config"]["data"]["labels_csv"] == str(run / "suspects.csv")
    (run / "suspects.csv").unlink()
    assert "has no list of suspicious labels" in cli("check", "--labels", run).err


def test_a_resume_of_a_finished_run_keeps_corrected_labels(
    cli: Cli, trained: Path, colours: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    made = (run / "suspects.csv").read_text()
    (run / "suspects.csv").write_text("path,label\nred/3.png,blue\n")
    assert cli("train", colours, "--run", run, "--resume", *TRAINED).code == 0
    assert (run / "suspects.csv").read_text() == "path,label\nred/3.png,blue\n"
    (run / "suspects.csv").unlink()
    assert cli("train", colours, "--run", run, "--resume", *TRAINED).code == 0
    assert (run / "suspects.csv").read_text() == made


def test_models_and_doctor(cli: Cli) -> None:
    assert [line.split("\t")[0] for line in cli("models").out.splitlines()] == list_models()
    one = cli("models", "xception")
    assert "22,855,952 trainable" in one.out
    assert document(cli("models", "xception", "--json").out)["macs"] // 10**6 == 8357
    assert {entry["name"] for entry in document(cli("models", "--json").out)} >= {"xception"}
    assert document(cli("doctor", "--json").out)["healthy"] is True


def test_profile_of_names_runs_and_anybodys_network(cli: Cli, trained: Path, tmp_path: Path) -> None:
    told = document(cli("profile", "mobilenet_v1", "--option", "width=0.25", "--size", "128", "--json").out)
    assert told["input_shape"] == [1, 3, 128, 128]
    assert told["parameters"] == 470_072
    assert document(cli("profile", trained, "--json").out)["input_shape"] == [1, 3, 32, 32]
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n\ndef build():\n    return nn.Conv2d(3, 8, 3, bias=False)\n"
    )
    told = document(cli("profile", "mine.py:build", "--size", "8x10", "--json").out)
    assert told["parameters"] == 216
    assert told["macs"] == 216 * 6 * 8
    assert "does not say what size" in cli("profile", "mine.py:build").err
    assert "has no function 'make'" in cli("profile", "mine.py:make").err
    (tmp_path / "mine.py").write_text("def build():\n    return 1 / 0\n")
    assert "ZeroDivisionError: division by zero" in cli("profile", "mine.py:build").err


def test_a_reader_that_leaves_is_no_traceback(trained: Path, colours: Path) -> None:
    command = f"{sys.executable} -m separable models --json | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout == "[\n"
    assert done.stderr == ""


def test_odd_file_names_stay_one_line_and_survive(cli: Cli, trained: Path, colours: Path, tmp_path: Path) -> None:
    picture = (colours / "red" / "0.png").read_bytes()
    names = [b"caf\xe9.png", b"new\nline.png", b"tab\t.png"]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(picture)
    lines = cli("predict", trained, *(os.fsdecode(name) for name in names)).out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["caf\\udce9.png", "new\\nline.png", "tab\\t.png"]
    cli("predict", trained, *(os.fsdecode(name) for name in names), "--out", "x.csv")
    with open("x.csv", newline="", encoding="utf-8", errors="surrogateescape") as handle:
        assert [os.fsencode(row["path"]) for row in csv.DictReader(handle)] == names
    cli("predict", trained, *(os.fsdecode(name) for name in names), "--out", "x.jsonl")
    listed = [json.loads(line)["path"] for line in Path("x.jsonl").read_text().splitlines()]
    assert [os.fsencode(name) for name in listed] == names


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("models",), 1, "separable: The system refused to read or write\n  got       No space left on device\n"),
        (("models", "--json"), 1, "separable: The system refused to read or write\n"),
        (("models", "nosuch", "--json"), 2, "separable: There is no model 'nosuch'\n"),
    ],
)
def test_full_standard_output_is_one_sentence(arguments: tuple[str, ...], code: int, said: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "separable", *arguments], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert done.stderr.count("separable: ") == 1
    assert "Traceback" not in done.stderr


def test_budget_takes_the_best_network_that_is_fast_enough(
    cli: Cli, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from separable.training import budget

    times = {"xception": 90.0, "inception_v3": 40.0, "mobilenet_v1": 10.0}
    monkeypatch.setattr(budget, "_measure", lambda candidate, _: times[candidate.name])
    outcome = cli("train", colours, "--weights", "none", "--budget-ms", "20", "--dry-run", "--json")
    model = document(outcome.out)["config"]["model"]
    assert (model["name"], model["image_size"]) == ("mobilenet_v1", [224, 224])
    assert "Taking mobilenet_v1" in outcome.err
    assert "mobilenet_v1 at 224: 10.0 ms, 70.9 % on ImageNet as published" in outcome.err
    outcome = cli("train", colours, "--budget-ms", "20", "--model", "xception", "--image-size", "96", "--dry-run")
    assert outcome.code == 2
    assert "--budget-ms picks the network and its picture size itself" in outcome.err
    assert "got       also --model, --image-size" in outcome.err
