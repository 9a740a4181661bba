"""What the top of a report says whatever was learnt: where it comes from, what to beware of, what it costs, its use."""

import math
from collections.abc import Mapping, Sequence

from separable.analysis.page.html import command, section, tile
from separable.analysis.page.wording import amount, count_of, duration, milliseconds
from separable.analysis.plots.markup import Markup, element, join, shorten
from separable.training.report.commands import evaluate_command, repeat_command, resume_command
from separable.training.report.record import RunRecord, value_at

__all__ = ["opening", "trained_in_words", "unfinished_title", "use_section"]


def opening(record: RunRecord, title: str, summary: str, tiles: Sequence[Markup]) -> Markup:
    """Title, summary, where the run comes from, warnings, and tiles; those of what the network costs follow `tiles`."""
    tiles = [*tiles, *_cost_tiles(record.profile)]
    return join(
        element("p", f"separable \N{MIDDLE DOT} training report \N{MIDDLE DOT} {record.run.name}", class_="eyebrow"),
        element("h1", title),
        element("p", summary, class_="summary"),
        element("p", _origin(record), class_="eyebrow"),
        *[element("p", text, class_="alert") for text in _alerts(record)],
        element("dl", *tiles, class_="tiles") if tiles else None,
    )


def use_section(record: RunRecord, first: Sequence[tuple[str, str | None]]) -> Markup:
    """The commands that use, measure, continue and repeat this run; `first` are (what for, command) of its use."""
    lines = [
        ("Go on where it stopped", resume_command(record) if _unfinished(record) else None),
        *first,
        ("Measure it again, or on the folder that you add", evaluate_command(record)),
        ("Do the same training again", repeat_command(record)),
    ]
    content = [join(element("h3", title), command(line)) for title, line in lines if line is not None]
    return section("use", "Use it, repeat it", "In the folder where the training was started.", *content)


def trained_in_words(record: RunRecord, classes: int) -> str:
    """A sentence: which network learned how many classes (0: unknown) from how much in what time and where."""
    seconds = sum(e.seconds for e in record.epochs if math.isfinite(e.seconds))
    words = _network(record)
    words += f" learned {count_of(classes, 'class', 'classes')}" if classes else " was trained"
    words += f" from {count_of(record.check.train, 'picture')}" if record.check and record.check.train else ""
    words += f" in {duration(seconds)}" if seconds else ""
    machine = _machine_name(record)
    return words + (f" on {machine}." if machine else ".")


def unfinished_title(record: RunRecord) -> str:
    """The title of a run that was not measured."""
    if not _unfinished(record):
        return "Trained, with no pictures left to measure it on"
    done, total = len(record.epochs), _total_epochs(record)
    if not done:
        return f"Stopped in the first of {count_of(total, 'epoch')}" if total else "Stopped in its first epoch"
    return f"Stopped after {done} of {count_of(total, 'epoch')}" if total else "Stopped before its end"


def _machine_name(record: RunRecord) -> str | None:
    """The GPU or processor the run used, as a person would name it."""
    if value_at(record.config, "device") not in (None, "cpu") and value_at(record.environment, "cuda"):
        return str(value_at(record.environment, "cuda"))
    model, cores = (value_at(record.environment, "processor", key) for key in ("model", "usable_cores"))
    return f"{model} ({count_of(cores, 'core')})" if model and isinstance(cores, int) else model and str(model)


def _network(record: RunRecord) -> str:
    name = str(value_at(record.config, "model", "name") or "A network")
    options = value_at(record.config, "model", "options")
    written = ", ".join(f"{key} {value}" for key, value in options.items()) if isinstance(options, Mapping) else ""
    return f"{name} ({shorten(written, 60)})" if written else name


def _origin(record: RunRecord) -> str:
    weights = value_at(record.config, "model", "weights")
    parts = {
        "pictures": value_at(record.config, "data", "root"),
        "started from": f"the weights {weights}" if weights else "random weights",
        "recipe": value_at(record.config, "recipe", "name"),
    }
    return " \N{MIDDLE DOT} ".join(f"{key}: {shorten(str(value), 90)}" for key, value in parts.items() if value)


def _alerts(record: RunRecord) -> list[str]:
    alerts = []
    total = _total_epochs(record)
    if _unfinished(record):
        where = f"after {len(record.epochs)} of {count_of(total, 'epoch')}" if total else "before its end"
        alerts.append(f"This run was interrupted {where}. What follows is what it had reached by then.")
    if record.check is not None and record.check.misleading:
        alerts.append("The check of the data found what makes these figures misleading: see The data, below.")
    alerts += [f"{complaint}. The rest of the page does without it." for complaint in record.complaints]
    return alerts


def _total_epochs(record: RunRecord) -> int:
    total = record.config.get("epochs") or value_at(record.config, "recipe", "epochs")
    return total if isinstance(total, int) else 0


def _unfinished(record: RunRecord) -> bool:
    return len(record.epochs) < _total_epochs(record) or not record.epochs


def _cost_tiles(profile: Mapping[str, object] | None) -> list[Markup]:
    tiles = []
    parameters = value_at(profile, "parameters")
    if isinstance(parameters, int | float):
        tiles.append(tile(amount(parameters), "parameters"))
    latency = value_at(profile, "latency_ms_batch1")
    if isinstance(latency, int | float):
        tiles.append(tile(milliseconds(latency), "for one picture", "this machine, batch 1"))
    return tiles
