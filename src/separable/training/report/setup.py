"""What the network costs to run, and every setting and version the run was made with."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from separable.analysis.page.html import folded, key_values, note, section
from separable.analysis.page.wording import amount, count_of, milliseconds
from separable.analysis.plots.markup import Markup, element, shorten
from separable.training.report.record import RunRecord, value_at

__all__ = ["cost_section", "setup_section"]

_LONGEST_TEXT = 20_000
_MOST_PAIRS = 200


def cost_section(profile: Mapping[str, Any] | None) -> Markup | None:
    """Parameters, multiply-adds, activations, speed."""
    if not profile:
        return None
    numbers = {key: value for key, value in profile.items() if _is_number(value)}
    wording = (
        ("parameters", "parameters", lambda v: f"{amount(v)} ({v:,.0f})"),
        ("macs", "multiply-adds for one picture", lambda v: f"{amount(v, 4)}"),
        ("activations", "activation values for one picture", amount),
        ("images_per_second_train", "pictures per second in training", amount),
        ("latency_ms_batch1", "time for one picture, batch 1", milliseconds),
    )
    pairs = [(words, write(numbers[key])) for key, words, write in wording if key in numbers]
    if not pairs:
        return None
    return section("cost", "What it costs", _cost_lead(numbers), key_values(pairs))


def _cost_lead(numbers: Mapping[str, float]) -> str:
    latency = numbers.get("latency_ms_batch1", math.nan)
    if latency > 0:
        return (
            f"About {amount(1000 / latency)} pictures a second, one at a time, measured on the machine that trained it."
        )
    return "As counted on the network itself."


def setup_section(record: RunRecord) -> Markup:
    """The configuration as it stands in the run, and the versions and machine, both folded."""
    content = []
    if record.config_text:
        text, beyond = record.config_text[:_LONGEST_TEXT], len(record.config_text) - _LONGEST_TEXT
        text += f"\n... ({beyond:,} more characters in config.yaml)" if beyond > 0 else ""
        content.append(folded("Every setting (config.yaml)", element("pre", text)))
    if record.environment:
        speed = list(_set_for_speed(record.environment))
        if speed:
            content.append(folded("What was set for speed", key_values(speed)))
        pairs = list(_flat(_without_details(record.environment)))
        shown = key_values([(shorten(key, 60), shorten(value, 300)) for key, value in pairs[:_MOST_PAIRS]])
        more = len(pairs) - _MOST_PAIRS
        rest = [note(f"{count_of(more, 'more entry', 'more entries')} in environment.json")] if more > 0 else []
        content.append(folded("Machine and versions (environment.json)", shown, *rest))
    return section("setup", "How it was made", _setup_lead(record.config), *content)


def _set_for_speed(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Allocator, affinity, threads and the kernels, each with its sentence, as far as the file has them."""
    settings = value_at(environment, "runtime", "settings")
    for one in settings if isinstance(settings, list) else []:
        name, text = value_at(one, "name"), value_at(one, "text")
        if isinstance(name, str) and isinstance(text, str):
            yield shorten(name, 60), shorten(text, 300)
    taken = value_at(environment, "chosen", "acceleration")
    if isinstance(value_at(taken, "why"), str):
        library = value_at(taken, "library")
        yield "CPU kernels", shorten(f"{taken['why']}{f'; {library}' if library else ''}", 300)


def _without_details(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Without what `_set_for_speed` shows, and the choice for every module, which only the file has."""
    chosen = environment.get("chosen")
    rest = {key: value for key, value in environment.items() if key != "runtime"}
    if isinstance(chosen, Mapping):
        rest["chosen"] = {key: value for key, value in chosen.items() if key not in ("acceleration", "runtime")}
    return rest


def _setup_lead(config: Mapping[str, Any]) -> str:
    recipe = config.get("recipe")
    if not isinstance(recipe, Mapping) or not recipe.get("name"):
        return "Settings and versions of the run."
    source = f" ({recipe['source']})" if recipe.get("source") else ""
    words = f"Recipe {recipe['name']}{source}"
    keys = [key for key in ("batch_size", "seed", "precision", "device") if key in config]
    details = [f"{key.replace('_', ' ')} {config[key]}" for key in keys]
    return f"{words}; {', '.join(details)}." if details else f"{words}."


def _flat(value: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple):
        yield prefix, ", ".join(str(item) for item in value)
    else:
        yield prefix, str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
