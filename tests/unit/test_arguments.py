"""A wrong argument to vmgr.app is an error that names it, whichever order and field it is in."""

from __future__ import annotations

from typing import Any

import pytest

import vmgr.core.amounts
import vmgr.core.group_requests
import vmgr.core.requests
import vmgr.core.subject
from vmgr.app import Application, open_application
from vmgr.arguments import CHOICES_OF, check_value
from vmgr.core.amounts import CHOICES, Percent, SizeSpec
from vmgr.core.errors import UsageError, VmgrError
from vmgr.core.group_requests import Activate, ChangeGroup, ChangePv, CreateGroup, CreatePv
from vmgr.core.ids import Uuid
from vmgr.core.requests import (
    ChangeVolume,
    ConvertVolume,
    CreateVolume,
    ExtendVolume,
    PvRange,
    ReduceVolume,
    RemoveVolume,
    RenameVolume,
    RepairVolume,
    ResizeVolume,
)
from vmgr.core.subject import Subject
from vmgr.core.units import Extents, Sectors
from vmgr.outcome import RunOptions

ONE = {"lv": "a", "size": "1g"}
REQUESTS: dict[type, dict[str, Any]] = {
    Activate: {"mode": "y"}, ChangeGroup: {}, CreateGroup: {}, CreatePv: {}, ChangePv: {}, RunOptions: {},
    Subject: {}, SizeSpec: {"value": Sectors(1)}, Percent: {"value": 1, "of": "VG"},
    PvRange: {"pv": Uuid("p" * 32)}, ChangeVolume: {}, ConvertVolume: {}, CreateVolume: {}, ExtendVolume: ONE,
    ReduceVolume: ONE, RemoveVolume: {}, RenameVolume: {"lv": "a", "name": "b"}, RepairVolume: {},
    ResizeVolume: ONE,
}  # fmt: skip
"""Every class that a program fills in, with what it needs."""

FIELDS = [(cls, field.name) for cls in REQUESTS for field in cls.__attrs_attrs__]  # type: ignore[attr-defined]


@pytest.fixture
def app() -> Application:
    return open_application(RunOptions(config=("global/locking_dir=/nowhere",)))


WORDS = {
    **{(next(cls for cls in REQUESTS if cls.__name__ == name), field): words
       for (name, field), words in CHOICES_OF.items()},
    **{(cls, field.name): field.metadata[CHOICES]
       for cls in REQUESTS for field in cls.__attrs_attrs__ if CHOICES in field.metadata},
}  # fmt: skip
"""The words that a field may be."""


def shown(one: object) -> str:
    return one.__name__ if isinstance(one, type) else str(one)


@pytest.mark.parametrize(("cls", "field"), FIELDS, ids=shown)
def test_a_value_of_a_wrong_type_in_any_field_is_named(cls: type, field: str) -> None:
    check_value(cls(**REQUESTS[cls]))
    with pytest.raises(UsageError, match=f"^{cls.__name__}.{field} is <object"):
        check_value(cls(**{**REQUESTS[cls], field: object()}))


@pytest.mark.parametrize(("cls", "field"), WORDS, ids=shown)
def test_only_the_words_of_a_field_are_taken(cls: type, field: str) -> None:
    words = WORDS[cls, field]
    for word in words:
        check_value(cls(**{**REQUESTS[cls], field: word}))
    with pytest.raises(UsageError, match=rf"^{cls.__name__}\.{field} is 'down', not one of "):
        check_value(cls(**{**REQUESTS[cls], field: "down"}))


def test_all_requests_are_checked() -> None:
    made = {
        name
        for module in (vmgr.core.group_requests, vmgr.core.subject, vmgr.core.amounts, vmgr.core.requests)
        for name, value in vars(module).items()
        if hasattr(value, "__attrs_attrs__") and isinstance(value, type) and not name.startswith("_")
    }
    told = {"RemoveVolumes", "FinishVolume", "TakeBack"}  # by the core to plugins
    left = {"Stamp", *told}
    assert made - left == {cls.__name__ for cls in REQUESTS} - {"RunOptions"}


LV = Subject("vg", "lv")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda app: app.lvcreate("vg", CreateVolume(size=100)), "CreateVolume.size is 100, not a SizeSpec"),
        (lambda app: app.lvcreate("vg", size=100), "CreateVolume.size is 100, not a SizeSpec"),
        (lambda app: app.lvcreate("vg", size="100x"), "cannot parse size '100x'"),
        (lambda app: app.lvcreate("vg", nmae="home"), "lvcreate() has no argument 'nmae'"),
        (lambda app: app.lvcreate("vg", CreateVolume(), nmae="home"), "lvcreate() has no argument 'nmae'"),
        (lambda app: app.lvcreate(), "lvcreate() needs vg"),
        (lambda app: app.lvcreate("vg", CreateVolume(), 3), "lvcreate() takes vg, request in this order"),
        (lambda app: app.lvcreate("vg", name="x", fs="rezise"), "RunOptions.fs is 'rezise', not one of"),
        (lambda app: app.activate("vg/lv", mode="down"), "Activate.mode is 'down', not one of"),
        (lambda app: app.vgremove(3), "vgremove(): subjects is (3,), not a list or tuple of Subject"),
        (lambda app: app.vgremove("v g"), "invalid volume group name 'v g'"),
        (lambda app: app.pvcreate(3), "pvcreate(): devices is (3,), not a list or tuple of str"),
        (lambda app: app.pvcreate("/dev/a", colour=1), "pvcreate() has no argument 'colour'"),
        (lambda app: app.lvcreate(None, CreateVolume()), "lvcreate(): vg is None, not a text"),
        (lambda app: app.lvextend("vg/lv"), "no new size given"),
        (lambda app: app.lvextend("vg", size="1g"), "lvextend() needs lv"),
        (lambda app: app.lvreduce("vg/lv"), "lvreduce() needs size"),
        (lambda app: app.lvextend("vg", ExtendVolume("lv", SizeSpec("1g"))), "SizeSpec.value is '1g'"),
        (lambda app: app.lvextend("vg", CreateVolume()), "lvextend(): request is CreateVolume()"),
        (lambda app: app.vgcreate("v", "a", tags="x y"), "invalid tag 'x y'"),
        (
            lambda app: app.vgcreate("v", ["a"], CreateGroup(max_lv=-1)),
            "CreateGroup.max_lv is -1, which is",
        ),
        (lambda app: app.pvresize("/dev/a", 100), "pvresize(): size is 100, not a Sectors or None"),
        (lambda app: app.vgremove("vg", force=True), "RunOptions.force is True, not a whole number"),
        (lambda app: app.lvcreate("vg", CreateVolume(zero=1)), "CreateVolume.zero is 1, not True or False or None"),
        (lambda app: app.change("vg", "lv"), "change(): requests is ('lv',), not a list or tuple of GroupRequest"),
        (lambda app: app.change_together({"vg": "lv"}), "change_together(): requests is {'vg': ('lv',)}, not a"),
        (lambda app: app.change_together([CreateVolume()]), "change_together(): requests is [CreateVolume()], not"),
        (lambda app: app.view(vgs="vg"), "view(): vgs is 'vg', not a tuple of str or None"),
        (lambda app: app.lvchange([Subject(3)], ChangeVolume()), "Subject.vg is 3, not a text"),
        (lambda app: open_application(RunOptions(devices="/dev/a")), "RunOptions.devices is '/dev/a', not a tu"),
        (
            lambda app: open_application({"yes": True}),
            "open_application(): options is {'yes': True}",
        ),
    ],
)
def test_what_a_program_gets_wrong_is_named_before_anything_is_looked_at(
    app: Application, call: Any, said: str
) -> None:
    with pytest.raises(VmgrError) as raised:
        call(app)
    assert said in raised.value.message
    assert raised.value.hint


def test_what_is_right_is_taken(app: Application) -> None:
    for request in (
        CreateVolume(size=SizeSpec(Extents(3)), tags="a", pvs="/dev/a", numbers=(-1, 0)),
        CreateVolume(options={"stripes": 2, "size": Sectors(8), "name": "x", "flag": True}, read_ahead=-1),
        ExtendVolume("home", "50%FREE", pvs=["/dev/a:0-9", "@fast", PvRange(Uuid("p" * 32))]),
        ExtendVolume(Uuid("v" * 32), pvs="/dev/a"),
    ):
        check_value(request)
