"""A wrong argument to vmgr.app is an error that names it, whichever order and field it is in."""

from __future__ import annotations

from typing import Any

import pytest

import vmgr.orders
from vmgr.app import Application, open_application
from vmgr.arguments import CHOICES, check_value
from vmgr.core.errors import UsageError, VmgrError
from vmgr.core.ids import Tag
from vmgr.core.requests import Percent, SizeSpec
from vmgr.core.units import Extents, Sectors
from vmgr.orders import (
    ActivationOrder,
    ConversionOrder,
    GroupChange,
    GroupOrder,
    LabelOrder,
    PvChange,
    PvChoice,
    ResizeOrder,
    RunOptions,
    Subject,
    VolumeChange,
    VolumeOrder,
)

ORDERS: dict[type, dict[str, Any]] = {
    ActivationOrder: {"mode": "y"}, ConversionOrder: {"options": ()}, GroupChange: {}, GroupOrder: {},
    LabelOrder: {}, PvChange: {}, PvChoice: {}, ResizeOrder: {}, RunOptions: {}, Subject: {}, VolumeChange: {},
    VolumeOrder: {}, SizeSpec: {"value": Sectors(1)}, Percent: {"value": 1, "of": "VG"},
}  # fmt: skip
"""Every order, with what it needs."""

FIELDS = [(order, field) for order in ORDERS for field in order.__annotations__]


@pytest.fixture
def app() -> Application:
    return open_application(RunOptions(config=("global/locking_dir=/nowhere",)))


@pytest.mark.parametrize(("order", "field"), FIELDS, ids=lambda one: one.__name__ if isinstance(one, type) else one)
def test_a_value_of_a_wrong_type_in_any_field_is_named(order: type, field: str) -> None:
    check_value(order(**ORDERS[order]))
    with pytest.raises(UsageError, match=f"^{order.__name__}.{field} is <object"):
        check_value(order(**{**ORDERS[order], field: object()}))


@pytest.mark.parametrize(("key", "words"), CHOICES.items(), ids=lambda one: ".".join(one) if one else "")
def test_only_the_words_of_a_field_are_taken(key: tuple[str, str], words: tuple[str, ...]) -> None:
    order = next(one for one in ORDERS if one.__name__ == key[0])
    for word in words:
        check_value(order(**{**ORDERS[order], key[1]: word}))
    with pytest.raises(UsageError, match=rf"^{key[0]}\.{key[1]} is 'down', not one of "):
        check_value(order(**{**ORDERS[order], key[1]: "down"}))


def test_all_orders_are_checked() -> None:
    made = {
        name for name in vars(vmgr.orders) if name.endswith(("Order", "Change", "Choice", "Subject", "Options"))
    }
    assert made == {order.__name__ for order in ORDERS} - {"SizeSpec", "Percent"}


LV = Subject("vg", "lv")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda app: app.lvcreate("vg", VolumeOrder(size="100M")), "VolumeOrder.size is '100M', not a SizeSpec"),
        (lambda app: app.activate([LV], ActivationOrder("down")), "ActivationOrder.mode is 'down', not one of"),
        (lambda app: app.vgremove("vg"), "vgremove(): subjects is 'vg', not a list or tuple of Subject"),
        (lambda app: app.vgremove(["vg"]), "vgremove(): subjects is ['vg'], not a list or tuple of Subject"),
        (lambda app: app.pvcreate("/dev/sdb"), "pvcreate(): devices is '/dev/sdb', not a list or tuple of str"),
        (lambda app: app.lvcreate(None, VolumeOrder()), "lvcreate(): vg is None, not a text"),
        (lambda app: app.lvcreate("vg", None), "lvcreate(): order is None, not a VolumeOrder"),
        (lambda app: app.lvextend(LV, ResizeOrder(SizeSpec("1g"))), "SizeSpec.value is '1g', not a Sectors"),
        (lambda app: app.lvextend(LV, VolumeOrder()), "lvextend(): order is VolumeOrder("),
        (lambda app: app.vgcreate("v", ["a"], GroupOrder(tags=("x",))), "GroupOrder.tags is ('x',), not a tuple"),
        (lambda app: app.vgcreate("v", ["a"], GroupOrder(max_lv=-1)), "GroupOrder.max_lv is -1, which is below 0"),
        (lambda app: app.pvresize(["/dev/a"], 100), "pvresize(): size is 100, not a Sectors or None"),
        (lambda app: app.vgremove([Subject("vg")], force=True), "vgremove(): force is True, not a whole number"),
        (lambda app: app.lvcreate("vg", VolumeOrder(zero=1)), "VolumeOrder.zero is 1, not True or False or None"),
        (lambda app: app.view(vgs="vg"), "view(): vgs is 'vg', not a tuple of str or None"),
        (lambda app: app.lvchange([Subject(3)], VolumeChange()), "Subject.vg is 3, not a text"),
        (lambda app: open_application(RunOptions(devices="/dev/a")), "RunOptions.devices is '/dev/a', not a tu"),
        (lambda app: open_application({"yes": True}), "__init__(): options is {'yes': True}, not a RunOptions"),
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
    for order in (
        VolumeOrder(size=SizeSpec(Extents(3), "+"), tags=(Tag("a"),), pvs=(PvChoice("/dev/a"),), major=-1, minor=0),
        VolumeOrder(options=(("stripes", 2), ("size", Sectors(8)), ("name", "x"), ("flag", True)), read_ahead=-1),
        ResizeOrder(SizeSpec(Percent(50, "FREE")), fs="resize", fs_mode="offline"),
    ):
        check_value(order)
