import io
import math

import pytest
from rich.console import Console

from separable.training.classification import Classification
from separable.training.display import (
    LiveDisplay,
    PlainDisplay,
    SilentDisplay,
    StepView,
    format_seconds,
    make_display,
    resident_memory,
)

EPOCH = {
    "kind": "epoch",
    "epoch": 1,
    "step": 20,
    "train_loss": 0.5,
    "train_top1": 0.75,
    "val_loss": 0.25,
    "val_top1": 0.9,
    "val_top5": 1.0,
    "seconds": 75.0,
}


def view(step: int, seconds: float = 2.0) -> StepView:
    return StepView(step, 40, (step - 1) // 20, 1.5, 0.5, 16, seconds)


def test_plain_lines_are_rate_limited() -> None:
    stream, now = io.StringIO(), [0.0]
    display = PlainDisplay(stream, interval=10.0, clock=lambda: now[0])
    for step in range(1, 13):
        now[0] += 2.0
        display.step(view(step))
    display.epoch(EPOCH, Classification().epoch_text(EPOCH))
    display.step(view(13))
    lines = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step 5/40", "step 10/40", "epoch 2: loss 0.5000"]
    assert "loss 1.5000, top-1 50.0 %, 8.0 images/s, 1 min 10 s left" in lines[0]
    assert lines[2] == ("epoch 2: loss 0.5000, top-1 75.0 %; held out 0.2500, 90.00 %; 1 min 15 s")


def test_plain_lines_hold_no_control_characters() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream, interval=0.0)
    display.note("A sentence.")
    display.warn("careful")
    display.step(view(1))
    display.close()
    text = stream.getvalue()
    assert text.startswith("A sentence.\nWarning: careful\nstep 1/40, epoch 1: loss 1.5000")
    assert all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize("width", [80, 140])
def test_the_live_line_shows_everything_on_any_terminal(width: int) -> None:
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=width, color_system=None))
    display.note("[not markup]")
    display.step(view(3))
    display.step(StepView(12345, 67890, 99, 1.5, 0.5, 16, 2.0))
    display.epoch(EPOCH, Classification().epoch_text(EPOCH))
    display.close()
    text = stream.getvalue()
    for part in (
        "[not markup]",
        "epoch 100 12345/67890",
        "loss 1.5000",
        "top-1 50.0 %",
        "8.0 images/s",
        "left",
        "epoch 2: ",
    ):
        assert part in text
    assert resident_memory() == 0 or "GiB" in text
    assert "\N{HORIZONTAL ELLIPSIS}" not in text, "something was cut off"
    assert "\x1b[?25h" in text, "the cursor was not shown again"


def test_the_live_line_counts_and_goes_on_with_steps() -> None:
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=140, color_system=None))
    display.counted("masks counted", 7, 1300)
    display.counted("masks counted", 1300, 1300)
    assert "1,300 of 1,300 masks counted" in stream.getvalue()
    assert "\x1b[?25h" in stream.getvalue(), "put away while kernels are timed"
    display.step(view(3))
    display.close()
    assert "epoch 1 3/40" in stream.getvalue()


def test_the_kind_follows_the_stream() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(make_display(Terminal()), LiveDisplay)
    assert isinstance(make_display(io.StringIO()), PlainDisplay)


def test_a_silent_warning_is_a_python_warning() -> None:
    with pytest.warns(UserWarning, match="damaged"):
        SilentDisplay().warn("damaged")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.21, "3.2 s"), (245.0, "4 min 05 s"), (7380.0, "2 h 03 min"), (math.nan, "? s"), (math.inf, "? s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_a_step_of_no_length_divides_by_nothing() -> None:
    stream = io.StringIO()
    PlainDisplay(stream, interval=0.0).step(view(1, seconds=0.0))
    assert "? s left" in stream.getvalue()
