import getpass
import json
import platform
import socket

import torch

from separable.machine.environment import describe_environment


def test_what_a_result_was_made_with() -> None:
    found = json.loads(json.dumps(describe_environment(seeds={"training": 3})))
    assert found["packages"]["torch"] == torch.__version__
    assert found["packages"]["separable"]
    assert found["threads"] == torch.get_num_threads()
    assert found["seeds"] == {"training": 3}
    assert found["processor"]["usable_cores"] >= 1


def test_nobody_and_no_machine_is_named(monkeypatch) -> None:
    """A run folder is made to be shared."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    text = json.dumps(describe_environment())
    assert '"OMP_NUM_THREADS": "2"' in text
    assert platform.node() not in text or platform.node() in platform.platform()
    assert socket.gethostname() not in text or socket.gethostname() in platform.platform()
    assert f"/{getpass.getuser()}" not in text
