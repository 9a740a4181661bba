"""Whose file it is, and which published set of weights, where names and shapes alone do not tell."""

import re
from dataclasses import replace
from pathlib import Path

from separable.errors import UsageError
from separable.models.contract import InputContract
from separable.weights.ports.hub import read_hub_config
from separable.weights.ports.port import Port, Release

__all__ = ["choose_port", "choose_release"]


def choose_port(ports: list[Port], path: Path, wanted: str | None) -> tuple[Port, tuple[str, ...]]:
    """The one of `ports`, which all fit a file, that it is read by, and a sentence where that is not certain.

    The one asked for by its framework or by a release; else timm's where its config.json lies beside the file; else the
    one whose release the file's name tells; else the first.

    Raises:
        UsageError: none of them has a framework or release called `wanted`.
        WeightsMismatchError: timm's config.json describes a network that none of them is.
    """
    timms = {network: port for port in ports if port.framework == "timm" for network in port.models.values()}
    others = wanted is not None and any(
        p.framework != "timm" and (p.framework == wanted or _named(p, wanted)) for p in ports
    )
    config = None if others else read_hub_config(path)
    if config is not None:
        config.check(timms)
    if wanted is not None:
        asked = [port for port in ports if port.framework == wanted or _named(port, wanted)]
        if not asked:
            known = [name for port in ports for name in (port.framework, *(release.name for release in port.releases))]
            raise UsageError(f"Weights of {ports[0].name} have no release {wanted!r}", expected=" or ".join(known))
        return asked[0], ()
    if config is not None:
        return timms[config.network], ()
    told = [port for port in ports if _told(port, path)]
    if len(told) == 1 or len(ports) == 1:
        return (told or ports)[0], ()
    rest = " or ".join(port.name for port in ports[1:])
    return ports[0], (f"taken as {ports[0].name}: a file of {rest} has the same names, and may want other pictures",)


def choose_release(
    port: Port, path: Path, contract: InputContract, wanted: str | None
) -> tuple[InputContract, tuple[str, ...]]:
    """`contract` with what the file's release changes in it, and sentences on how the release was told.

    Asked for by name, else stated by timm's config.json beside the file, else told from the name of the file or of its
    folder, else the first one, which is said where it makes a difference.

    Raises:
        WeightsFormatError: a config.json of timm's that cannot be read.
    """
    set_wanted = wanted is not None and wanted != port.framework  # a framework alone does not say which pictures
    config = read_hub_config(path) if port.framework == "timm" and not set_wanted else None
    if config is not None and config.network in port.models.values():
        return config.apply(contract), (f"taken as {config.release}, by the config.json beside the file",)
    if not port.releases:
        return contract, ()
    if wanted is not None and (asked := _named(port, wanted)):
        return _changed(contract, asked[0]), (f"taken as {asked[0].name}, as was asked for",)
    if told := _told(port, path):
        return _changed(contract, told[0]), (f"taken as {told[0].name}, by the file's name",)
    first = port.releases[0]
    if all(release.changes == first.changes for release in port.releases):
        return _changed(contract, first), ()
    names = " or ".join(release.name for release in port.releases)
    note = f"the file does not say which of {names} it is: taken as {first.name}; another may want other pictures"
    return _changed(contract, first), (note,)


def _named(port: Port, wanted: str) -> list[Release]:
    return [release for release in port.releases if wanted in (release.name, release.name.rpartition(".")[2])]


def _told(port: Port, path: Path) -> list[Release]:
    """The releases that the name of the file or of its folder speaks of; none where it speaks of several."""
    where = f"{path.absolute().parent.name}/{path.name}"
    found = [release for release in port.releases if re.search(release.file, where)]
    return found if len(found) == 1 else []


def _changed(contract: InputContract, release: Release) -> InputContract:
    return replace(contract, **release.changes)
