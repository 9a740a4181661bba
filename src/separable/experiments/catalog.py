"""All tables and figures by name, and the names that stand for several."""

import difflib

from separable.errors import UsageError
from separable.experiments.papers import (
    inception_v3_aux,
    inception_v3_figure2,
    inception_v3_grid_reduction,
    inception_v3_table2,
    inception_v3_table3,
    inception_v3_tables4_5,
    mobilenet_table4,
    mobilenet_table5,
    mobilenet_table6,
    mobilenet_table7,
    spectrum,
    spectrum_milliseconds,
    unet_pets,
    xception_figure6,
    xception_figure7,
    xception_figure8,
    xception_figure9,
    xception_figure10,
    xception_order,
    xception_table1,
    xception_table2,
    xception_table3,
)
from separable.experiments.schema import Experiment

__all__ = ["EXPERIMENTS", "GROUPS", "find_experiment", "find_experiments"]

EXPERIMENTS: dict[str, Experiment] = {
    "xception/table1": xception_table1.EXPERIMENT,
    "xception/table2": xception_table2.EXPERIMENT,
    "xception/table3": xception_table3.EXPERIMENT,
    "xception/figure6": xception_figure6.EXPERIMENT,
    "xception/figure7": xception_figure7.EXPERIMENT,
    "xception/figure8": xception_figure8.EXPERIMENT,
    "xception/figure9": xception_figure9.EXPERIMENT,
    "xception/figure10": xception_figure10.EXPERIMENT,
    "xception/order": xception_order.EXPERIMENT,
    "inception_v3/table2": inception_v3_table2.EXPERIMENT,
    "inception_v3/table3": inception_v3_table3.EXPERIMENT,
    "inception_v3/figure2": inception_v3_figure2.EXPERIMENT,
    "inception_v3/aux": inception_v3_aux.EXPERIMENT,
    "inception_v3/tables4-5": inception_v3_tables4_5.EXPERIMENT,
    "inception_v3/grid_reduction": inception_v3_grid_reduction.EXPERIMENT,
    "mobilenet/table4": mobilenet_table4.EXPERIMENT,
    "mobilenet/table5": mobilenet_table5.EXPERIMENT,
    "mobilenet/table6": mobilenet_table6.EXPERIMENT,
    "mobilenet/table7": mobilenet_table7.EXPERIMENT,
    "unet/pets": unet_pets.EXPERIMENT,
    "spectrum": spectrum.EXPERIMENT,
    "spectrum/milliseconds": spectrum_milliseconds.EXPERIMENT,
}

GROUPS: dict[str, tuple[str, ...]] = {
    "mobilenet/tables4-7": ("mobilenet/table4", "mobilenet/table5", "mobilenet/table6", "mobilenet/table7"),
    **{
        paper: tuple(name for name in EXPERIMENTS if name.startswith(f"{paper}/"))
        for paper in ("xception", "inception_v3", "mobilenet", "unet")
    },
}
"""Names that stand for several."""


def find_experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UsageError: there is none, or it names several; the nearest names are suggested.
    """
    if name in GROUPS:
        raise UsageError(f"{name!r} stands for several experiments", expected=f"one of {', '.join(GROUPS[name])}")
    return find_experiments(name)[0]


def find_experiments(name: str) -> tuple[Experiment, ...]:
    """The experiments that a name stands for, in the order of the catalogue: itself, and those whose names go on with a
    slash.

    Raises:
        UsageError: there is none; the nearest names are suggested.
    """
    if name in EXPERIMENTS:
        return tuple(one for other, one in EXPERIMENTS.items() if other == name or other.startswith(f"{name}/"))
    if name in GROUPS:
        return tuple(EXPERIMENTS[member] for member in GROUPS[name])
    close = difflib.get_close_matches(name.lower(), [*EXPERIMENTS, *GROUPS], n=1, cutoff=0.5)
    raise UsageError(
        f"There is no experiment {name!r}",
        expected=f"one of {', '.join([*EXPERIMENTS, *GROUPS])}",
        fix=f"Did you mean {close[0]!r}?" if close else None,
    )
