"""The top of the page: the result in a sentence with its uncertainty, the numbers worth a glance, what to do next."""

import math
from collections.abc import Mapping

from separable.analysis.page.html import command, section, tile
from separable.analysis.page.wording import amount, count_of, duration, percent, wilson_interval
from separable.analysis.plots.markup import Markup, element, join, shorten
from separable.training.report.commands import evaluate_command, predict_command, repeat_command, resume_command
from separable.training.report.record import Evaluation, RunRecord, value_at

__all__ = ["headline", "use_section"]


def headline(record: RunRecord) -> Markup:
    """Title, summary, warnings and tiles."""
    tiles = _tiles(record, record.measured)
    return join(
        element("p", f"separable \N{MIDDLE DOT} training report \N{MIDDLE DOT} {record.run.name}", class_="eyebrow"),
        element("h1", _title(record)),
        element("p", _summary(record), class_="summary"),
        element("p", _origin(record), class_="eyebrow"),
        *[element("p", text, class_="alert") for text in _alerts(record)],
        element("dl", *tiles, class_="tiles") if tiles else None,
    )


def use_section(record: RunRecord) -> Markup:
    """The commands that use, measure, continue and repeat this run."""
    lines = [
        ("Go on where it stopped", resume_command(record) if _unfinished(record) else None),
        ("Name what is on pictures: these, or any others", predict_command(record)),
        ("Measure it again, or on the folder that you add", evaluate_command(record)),
        ("Do the same training again", repeat_command(record)),
    ]
    content = [join(element("h3", title), command(line)) for title, line in lines if line is not None]
    return section("use", "Use it, repeat it", "In the folder where the training was started.", *content)


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


def _title(record: RunRecord) -> str:
    evaluation = record.measured
    if evaluation is not None and math.isfinite(evaluation.top1):
        return f"{percent(evaluation.top1)} right on {count_of(evaluation.n, 'picture')} it never trained on"
    if _unfinished(record):
        done = len(record.epochs)
        total = _total_epochs(record)
        if not done:
            return f"Stopped in the first of {count_of(total, 'epoch')}" if total else "Stopped in its first epoch"
        return f"Stopped after {done} of {count_of(total, 'epoch')}" if total else "Stopped before its end"
    return "Trained, with no pictures left to measure it on"


def _summary(record: RunRecord) -> str:
    evaluation = record.measured
    name = _network(record)
    classes = len(evaluation.class_names) if evaluation else 0
    seconds = sum(e.seconds for e in record.epochs if math.isfinite(e.seconds))
    words = name
    words += f" learned {count_of(classes, 'class', 'classes')}" if classes else " was trained"
    words += f" from {count_of(record.check.train, 'picture')}" if record.check and record.check.train else ""
    words += f" in {duration(seconds)}" if seconds else ""
    machine = _machine_name(record)
    words += f" on {machine}." if machine else "."
    return words + (_uncertainty(evaluation) if evaluation else "")


def _uncertainty(evaluation: Evaluation) -> str:
    if not math.isfinite(evaluation.top1):
        return ""
    low, high = wilson_interval(evaluation.top1 * evaluation.n, evaluation.n)
    words = f" On pictures like these it would be between {percent(low)} and {percent(high)} (95% interval)"
    share = max((s.support for s in evaluation.per_class), default=0) / evaluation.n
    return words + (f"; always answering the largest class would give {percent(share)}." if share else ".")


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


def _tiles(record: RunRecord, evaluation: Evaluation | None) -> list[Markup]:
    tiles = []
    if evaluation is not None:
        low, high = wilson_interval(evaluation.top1 * evaluation.n, evaluation.n) if evaluation.top1 >= 0 else (0, 1)
        tiles.append(tile(percent(evaluation.top1), "right at the first guess", f"{percent(low)} to {percent(high)}"))
        if len(evaluation.class_names) > 5 and math.isfinite(evaluation.top5):
            tiles.append(tile(percent(evaluation.top5), "right among five guesses"))
        f1 = [s.f1 for s in evaluation.per_class if math.isfinite(s.f1)]
        if f1:
            tiles.append(tile(f"{sum(f1) / len(f1):.3f}", "mean F1", "every class counts the same"))
        ece = evaluation.calibration.ece if evaluation.calibration else math.nan
        if math.isfinite(ece):
            tiles.append(tile(f"{100 * ece:.1f}", "points off in confidence", "calibration error"))
    parameters = value_at(record.profile, "parameters")
    if isinstance(parameters, int | float):
        tiles.append(tile(amount(parameters), "parameters"))
    latency = value_at(record.profile, "latency_ms_batch1")
    if isinstance(latency, int | float):
        tiles.append(tile(f"{latency:.3g} ms", "for one picture", "this machine, batch 1"))
    return tiles
