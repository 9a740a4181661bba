"""What a contestant's process calls first: the runtime is set before torch is imported, where it is to be set."""

from separable.benchmarking.contest import Contestant, Given, Runner, Task

__all__ = ["open_torch"]


def open_torch(contestant: Contestant, task: Task, given: Given) -> Runner:
    """A contestant in torch; with the option `tuned` the process is set up by `tune_runtime` first, as `separable
    train` does."""
    settings = None
    if contestant.options.get("tuned"):
        from separable.machine.runtime import tune_runtime

        settings = tune_runtime()
    from separable.benchmarking.peers.torch_runner import TorchRunner

    return TorchRunner(contestant, task, given, settings)
