"""The application's methods take what people write, for one call or for all, on the machine in memory."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import pytest

from tests.support.rig import Rig
from tests.support.rig_session import RigSession
from vmgr.app import Application
from vmgr.arguments import REQUESTS
from vmgr.core.errors import Interrupted, NoSpace
from vmgr.core.requests import ChangeVolume, CreateVolume, ExtendVolume
from vmgr.core.units import Extents
from vmgr.outcome import RunOptions
from vmgr.services.batch import SERVICES


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "dev")


@pytest.fixture
def app(rig: Rig) -> Application:
    made = Application(RunOptions())
    made._session = RigSession(rig)
    return made


def names(rig: Rig) -> list[str]:
    return [lv.name for lv in rig.group.lvs]


def test_a_request_is_given_by_its_fields_or_as_a_value_or_both(app: Application, rig: Rig) -> None:
    app.lvcreate("vg", name="a", size="1m", pvs="/dev/d2", tags=["x", "y"])
    app.lvcreate("vg", CreateVolume(name="b", size="1m"))
    app.lvcreate("vg", CreateVolume(name="b", size="1m"), name="c")
    assert names(rig) == ["a", "b", "c"]
    (run,) = rig.group.volume("a").areas()
    assert (run.pv, rig.group.volume("a").tags) == (rig.group.pvs[1].id, ("x", "y"))  # type: ignore[union-attr]


def test_a_volume_is_named_with_its_group_or_in_the_request(app: Application, rig: Rig) -> None:
    app.lvcreate("vg", name="a", size="1m")
    app.lvextend("vg/a", size="+1m")
    app.lvextend("vg", ExtendVolume("a", "+1m"))
    assert rig.group.volume("a").size == Extents(48)
    app.lvrename("vg/a", name="b")
    assert names(rig) == ["b"]


def test_one_name_or_several_or_a_tag_are_taken(app: Application, rig: Rig) -> None:
    for name in ("a", "b", "c"):
        app.lvcreate("vg", name=name, size="1m")
    app.lvchange(["vg/a", "vg/b"], add_tags="t")
    app.lvchange("vg/c", ChangeVolume(read_only=True))
    assert [lv.tags for lv in rig.group.lvs] == [("t",), ("t",), ()]
    app.lvremove("@t")
    assert names(rig) == ["c"]


def test_an_option_given_for_one_call_counts_for_that_call_alone(app: Application, rig: Rig) -> None:
    app.lvcreate("vg", name="a", size="1m")
    (plan,) = app.lvremove("vg/a", test=True).plans
    assert plan.steps
    assert names(rig) == ["a"]
    with pytest.raises(NoSpace):
        app.lvextend("vg/a", size="1g", alloc="inherit", test=True)
    app.lvremove("vg/a")
    assert names(rig) == []


def test_force_leaves_questions_out(app: Application, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    app.lvcreate("vg", name="a", size="1m")
    monkeypatch.setattr(app._session.dialogue, "ask", lambda question: False)
    with pytest.raises(Interrupted):
        app.lvremove("vg/a")
    app.lvremove("vg/a", force=1)
    assert names(rig) == []


def declared() -> dict[str, str]:
    """The function of :mod:`vmgr.services` that carries out each declared method."""
    methods = {name: method for name, method in vars(Application).items() if hasattr(method, "__wrapped__")}
    return {name: inspect.getclosurevars(method).nonlocals["service"] for name, method in methods.items()}


@pytest.mark.parametrize(("method", "service"), declared().items())
def test_a_declared_method_has_a_service_that_takes_what_it_takes(method: str, service: str) -> None:
    module, _, function = service.partition(".")
    there = inspect.signature(getattr(import_module(f"vmgr.services.{module}"), function)).parameters
    here = inspect.signature(getattr(Application, method)).parameters
    taken = [name for name, one in here.items() if name != "self" and one.kind is not one.VAR_KEYWORD]
    assert taken == [name for name in there if name != "session"]


@pytest.mark.parametrize("kind", SERVICES)
def test_a_request_has_a_service_that_makes_its_change(kind: str) -> None:
    module, function = SERVICES[kind]
    service = getattr(import_module(f"vmgr.services.{module}"), function)
    assert list(inspect.signature(service).parameters) == ["session", "view", "request"]
    assert kind in REQUESTS
