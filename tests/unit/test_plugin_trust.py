"""What a plugin does that breaks the contract: it is named, and nothing but its own volumes is lost."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.support.odd_target import FAILING, HOOKS, INFO, UNUSABLE, WRITING, Odd, declaring, raising, returning
from tests.support.ondisk import HEADER
from tests.support.plugins import a_group, area, create
from vmgr.core.errors import PluginError
from vmgr.core.guard import TELLING, check_of
from vmgr.core.hooks import ColumnSpec, OptionSpec, TargetSpec
from vmgr.core.ids import LvName
from vmgr.core.model import UnknownBody, VolumeGroup
from vmgr.core.registered import LeftOut
from vmgr.core.targets import Targets
from vmgr.ondisk.codec import decode_group, encode_group
from vmgr.ondisk.proof import require_readable
from vmgr.plugins import error, linear, snapshot, striped, zero

OWN: list[tuple[str, object]] = [
    ("linear", linear),
    ("striped", striped),
    ("snapshot", snapshot),
    ("zero", zero.PLUGIN),
    ("error", error.PLUGIN),
]
SOURCES = {"odd-entry": "vmgr_odd-1.0"}
RIGHT = Targets([*OWN, ("odd-entry", Odd())], SOURCES)


def text() -> str:
    """A group with a volume ``strange`` of the type odd, and a plain one."""
    group, _ = create(a_group(), "plain", [[area(0, 0, 4)]])
    group, _ = create(group, "strange", [[area(0, 10, 4)]], type="odd", targets=RIGHT)
    return encode_group(group, RIGHT, HEADER)


def loaded(plugin: object) -> tuple[Targets, list[str]]:
    """vmgr's own plugins and a stranger's, and what is told of those that are left out."""
    told: list[str] = []
    return Targets([("odd-entry", plugin), *OWN], SOURCES, LeftOut(told.append)), told


def kinds(group: VolumeGroup) -> dict[str, type]:
    return {lv.name: type(lv.segments[0].body) for lv in group.lvs}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_plugin_that_cannot_be_used_is_left_out_with_one_warning(what: str) -> None:
    """It names plugin and distribution; the volumes of its type are kept as they are."""
    targets, told = loaded(UNUSABLE[what])
    assert {info.name for info in targets.infos()} == {"linear", "striped", "snapshot", "zero", "error"}
    group = decode_group(text(), targets).group
    assert kinds(group)["strange"] is UnknownBody
    assert kinds(group)["plain"] is linear.LinearBody
    assert encode_group(group, targets, HEADER) == text()
    (line,) = told
    assert "'odd-entry' (from vmgr_odd-1.0)" in line
    assert "uninstall" in line or "install a" in line


@pytest.mark.parametrize("what", UNUSABLE)
def test_with_nobody_to_tell_it_is_an_error(what: str) -> None:
    with pytest.raises(PluginError, match="'odd-entry'") as caught:
        Targets([*OWN, ("odd-entry", UNUSABLE[what])], SOURCES)
    assert (caught.value.plugin, caught.value.source) == ("odd-entry", "vmgr_odd-1.0")
    assert caught.value.hint


@pytest.mark.parametrize("what", FAILING)
def test_a_group_with_its_volumes_is_read_whatever_it_does(what: str) -> None:
    """What it cannot read is unknown, and told once."""
    targets, told = loaded(FAILING[what])
    for _ in range(2):
        group = decode_group(text(), targets).group
        assert kinds(group)["plain"] is linear.LinearBody
    assert len(told) <= 1
    reading = what.startswith(("decode_segment", "group_read", "it claims"))
    assert bool(told) is reading
    assert (kinds(group)["strange"] is UnknownBody) is reading
    for lv in group.lvs:
        for segment in lv.segments:
            targets.describe(group, lv, segment, None)
    assert len(told) <= 1


@pytest.mark.parametrize("hook", sorted(set(HOOKS) - {"target_info"}))
def test_what_a_hook_raises_is_an_error_of_its_plugin(hook: str) -> None:
    """Named with plugin, distribution, hook, the exception, and where it was raised."""
    (plugin,) = [p for p in loaded(raising(hook))[0]._plugins if p.name == "odd-entry"]
    arguments = TargetSpec.__dict__[hook].__code__.co_argcount - 1
    with pytest.raises(PluginError) as caught:
        plugin.hooks[hook](*[None] * arguments)
    assert (caught.value.plugin, caught.value.hook) == ("odd-entry", hook)
    assert f"its hook {hook} raised KeyError: 'a fault of the plugin'" in caught.value.message
    assert "vmgr_odd-1.0" in caught.value.message
    assert "odd_target.py, line" in caught.value.details[0]


@pytest.mark.parametrize("hook", sorted(set(HOOKS) - {"target_info"}))
@pytest.mark.parametrize("value", [object(), [1], "word", (object(),)], ids=["object", "list", "word", "tuple"])
def test_what_a_hook_returns_is_held_to_its_annotation(hook: str, value: object) -> None:
    (plugin,) = [p for p in loaded(returning(hook, value))[0]._plugins if p.name == "odd-entry"]
    annotation = TargetSpec.__dict__[hook].__annotations__["return"]
    arguments = TargetSpec.__dict__[hook].__code__.co_argcount - 1
    if value == "word" and annotation.startswith("str"):
        assert plugin.hooks[hook](*[None] * arguments) == "word"
        return
    with pytest.raises(PluginError, match=f"its hook {hook} returned an? .* is due") as caught:
        plugin.hooks[hook](*[None] * arguments)
    assert (caught.value.plugin, caught.value.hook) == ("odd-entry", hook)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hooks_annotation_is_understood(hook: str) -> None:
    """None of them lets everything through."""
    assert check_of(TargetSpec.__dict__[hook].__annotations__["return"])(object())


def test_hooks_that_may_not_refuse_are_hooks() -> None:
    assert set(HOOKS) >= TELLING


def test_vmgrs_own_keep_to_the_contract() -> None:
    """They are not checked at every start. As strangers to each other they would be admitted, too."""
    for (name, plugin), info in zip(OWN, Targets(OWN).infos(), strict=True):
        assert check_of("TargetInfo")(info) == ""
        others = [pair for pair in OWN if pair[0] != name]
        assert info in Targets([*others, (name, plugin)], {name: f"{name}-1.0"}).infos()


def test_what_is_wrong_inside_of_a_value_is_named() -> None:
    check = check_of("TargetInfo")
    assert check(INFO) == ""
    assert check(evolve(INFO, types=["odd"])) == "a list where tuple[str, ...] is due, in TargetInfo.types"
    assert (
        check(evolve(INFO, types=("odd", 7))) == "an int where str is due, in tuple[str, ...], in TargetInfo.types"
    )
    options = (OptionSpec("odd", "flag", "", "lvcreate"),)  # type: ignore[arg-type]
    assert "a str where tuple[str, ...] is due, in OptionSpec.commands" in check(evolve(INFO, options=options))


def test_of_two_strangers_that_claim_one_thing_both_are_left_out() -> None:
    """Nobody can say which one is meant; each is named with the other."""
    told: list[str] = []
    other = declaring(name="other", bodies=(), segment_types=())
    sources = {"odd-entry": "vmgr_odd-1.0", "other-entry": "vmgr_other-2.0"}
    targets = Targets([("odd-entry", Odd()), ("other-entry", other), *OWN], sources, LeftOut(told.append))
    assert not {"odd", "other"} & {info.name for info in targets.infos()}
    first, second = sorted(told)
    assert "'odd-entry' (from vmgr_odd-1.0) claims the type 'odd', as 'other-entry' (from vmgr_other-2.0)" in first
    assert "'other-entry' (from vmgr_other-2.0) claims the type 'odd', as 'odd-entry'" in second


def test_of_two_strangers_that_claim_one_segment_both_are_left_out() -> None:
    told: list[str] = []
    sources = {"odd-entry": "vmgr_odd-1.0", "other-entry": "vmgr_other-2.0"}
    rival = returning("target_info", evolve(INFO, name="other", types=(), columns=(), bodies=()))
    targets = Targets([("odd-entry", Odd()), ("other-entry", rival), *OWN], sources, LeftOut(told.append))
    assert kinds(decode_group(text(), targets).group)["strange"] is UnknownBody
    assert [line.partition(" claims")[0] for line in told] == [
        "target plugin 'odd-entry' (from vmgr_odd-1.0)",
        "target plugin 'other-entry' (from vmgr_other-2.0)",
    ]


def test_what_plugins_share_is_no_conflict() -> None:
    """A column or an option that means the same, a kernel target, a type word of the text."""
    shared = declaring(
        columns=(ColumnSpec("origin", "Origin", "string", ""),),
        options=(OptionSpec("stripes", "number", "", ("lvcreate",), short="i"),),
        segment_types=("odd", "striped"),
    )
    assert "odd" in {info.name for info in Targets([*OWN, ("odd-entry", shared)], SOURCES).infos()}


@pytest.mark.parametrize("what", WRITING)
def test_what_cannot_be_read_again_is_not_written(what: str) -> None:
    """The error names plugin, distribution, volume and field."""
    plugin, words = WRITING[what]
    targets, _ = loaded(plugin)
    group, _ = create(a_group(), "plain", [[area(0, 0, 4)]])
    after, _ = create(group, "strange", [[area(0, 10, 4)]], type="odd", targets=targets)
    require_readable(None, group, targets)
    require_readable(group, group, targets)
    with pytest.raises(PluginError) as caught:
        require_readable(group, after, targets)
    assert words in caught.value.message
    assert (caught.value.plugin, caught.value.source) == ("odd-entry", "vmgr_odd-1.0")


def test_what_can_be_read_again_is_written() -> None:
    require_readable(None, decode_group(text(), RIGHT).group, RIGHT)


def test_only_what_changes_is_read_back() -> None:
    """A word that another tool wrote stays."""
    group = decode_group(text(), RIGHT).group
    odd = group.lv_by_name["strange"]
    group = group.with_lv(evolve(odd, status=(*odd.status, "FROM_THE_FUTURE")))
    after, _ = create(group, "more", [[area(1, 0, 4)]])
    require_readable(group, after, RIGHT)
    odd = after.lv_by_name["strange"]
    require_readable(after, after.with_lv(evolve(odd, name=LvName("renamed"))), RIGHT)
