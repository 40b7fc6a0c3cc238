"""The real module and the real modprobe: another major, now and from configuration."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.support.dmsetup import OURS, run_tool
from tests.support.lab import run, unload, until
from vmgr.core.errors import Refused
from vmgr.dm.client import DmClient
from vmgr.dm.control import block_majors
from vmgr.dm.module import HERE, configure_module, load_module, module_state


@pytest.fixture(autouse=True)
def _own_module(_machine: None) -> Iterator[None]:
    """Each test begins without the module, and leaves it as it was."""
    before = module_state()
    assert before.state == "loaded"
    users = os.listdir("/sys/module/dm_mod/holders")
    unload()
    yield
    unload()
    if os.path.lexists(HERE.config):
        os.unlink(HERE.config)
    run("modprobe", "dm_mod", f"major={before.major}")
    for user in users:
        run("modprobe", user)
    until(lambda: os.path.exists("/dev/mapper/control"), "the control node")


def vmgr(*words: str, status: int = 0) -> str:
    found, out, err = run_tool(OURS, words)
    assert found == status, err
    return out + err


def test_the_state_of_the_real_module_is_told() -> None:
    state = module_state()
    assert (state.state, state.major) == ("available", None)
    assert "major" in {parameter.name for parameter in state.known}
    state = load_module()
    assert state.state == "loaded"
    assert state.major == {name: major for major, name in block_majors().items()}["device-mapper"]
    values = dict(state.values)
    assert values["swap_bios"].isdigit()
    for name, value in values.items():
        with open(f"/sys/module/dm_mod/parameters/{name}") as file:
            assert file.read().strip() == value
    assert "dm_mod, loaded" in vmgr("module")


def test_devices_have_the_major_that_was_asked_for() -> None:
    assert "with major 240" in vmgr("module", "--major", "240")
    assert block_majors()[240] == "device-mapper"
    with DmClient.open() as dm:
        device = dm.create("one")
        assert device.major == 240
        dm.remove(device)
    assert "loaded already, with major 240" in vmgr("module", "--major", "240")
    said = vmgr("module", "--major", "241", status=5)
    assert "dm_mod is loaded with major 240, not 241" in said
    assert "--write" in said
    shown = json.loads(vmgr("module", "--json"))["module"]
    assert (shown["state"], shown["major"], shown["next_load"]) == ("loaded", 240, None)


def test_the_kernel_takes_what_we_take_and_refuses_what_we_refuse() -> None:
    assert load_module(511).major == 511
    unload()
    assert run("modprobe", "dm_mod", "major=512", check=False).returncode != 0
    taken = next(iter(block_majors()))
    with pytest.raises(Refused, match=f"the block major {taken} belongs to"):
        load_module(taken)
    assert run("modprobe", "dm_mod", f"major={taken}", check=False).returncode != 0
    assert module_state().state == "available"


def test_the_configuration_counts_at_the_next_load() -> None:
    assert "wrote /etc/modprobe.d/vmgr-dm-mod.conf" in vmgr("module", "--major", "242", "--write")
    assert module_state().state == "available", "nothing was loaded"
    run("modprobe", "dm-mod")
    assert module_state().major == 242
    assert "until the next boot the major is 242" in vmgr("module", "--major", "243", "--write")
    assert vmgr("module", "--major", "243", "--write").startswith("  nothing to write")
    unload()
    assert "loaded, with major 243" in vmgr("module", "--load")
    vmgr("module", "--major", "auto", "--write")
    assert not os.path.exists(HERE.config)
    unload()
    assert load_module().major not in (242, 243)


def test_the_control_node_s_opening_loads_it_with_the_configured_major() -> None:
    """As at a boot, where nobody runs modprobe by hand."""
    configure_module(244)
    with DmClient.open() as dm:
        dm.version()
        assert dm.kernel.block_major() == 244


def test_a_dry_run_loads_and_writes_nothing() -> None:
    said = vmgr("module", "--major", "245", "--load", "--write", "--test")
    assert "would load dm_mod with major 245" in said
    assert "would write" in said
    assert module_state().state == "available"
    assert not os.path.exists(HERE.config)


@pytest.mark.parametrize("words", [["--major", "0"], ["--major", "512"], ["--major", "x"], ["--write"]])
def test_what_is_no_major_is_refused(words: list[str]) -> None:
    vmgr("module", *words, status=3)
    assert module_state().state == "available"
