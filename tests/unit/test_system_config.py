"""The configuration: what is read, what beats what, and what a wrong file gives."""

from __future__ import annotations

import os

import pytest

from vmgr.core.errors import ConfigError, UsageError
from vmgr.system.config import Config, load, parse
from vmgr.system.settings import DEFAULTS


@pytest.fixture
def system(tmp_path):
    """A system directory; write files into it, then call it with overrides."""

    def make(*overrides: str, **options: str) -> Config:
        return load(overrides, environ={"LVM_SYSTEM_DIR": str(tmp_path)} | options.pop("env", {}), **options)

    make.dir = tmp_path
    return make


def test_without_any_file_every_setting_has_its_default(system):
    """No lvm.conf is fine; every setting answers in its own type."""
    config = system()
    for path, default in DEFAULTS.items():
        if isinstance(default, bool):
            assert config.flag(path) is default
        elif isinstance(default, int):
            assert config.number(path) == default
        elif isinstance(default, str):
            assert config.text(path) == default.replace("{sys}", str(system.dir))
        else:
            assert config.words_if_set(path) == default
    assert config.warnings == []


def test_files_profiles_and_options_in_order_of_strength(system):
    """--config beats the command profile, that the metadata profile, that lvmlocal.conf, that lvm.conf."""
    (system.dir / "profile").mkdir()
    thin = "activation/thin_pool_autoextend_percent"
    sources = {
        system.dir / "lvm.conf": f'{thin}=1 report {{ lvs_cols="f" vgs_cols="f" pvs_cols="f" lvs_sort="f" }}',
        system.dir / "lvmlocal.conf": f'{thin}=2 report {{ lvs_cols="l" vgs_cols="l" pvs_cols="l" }}',
        system.dir / "profile" / "meta.profile": f"{thin}=3",
        system.dir / "profile" / "cmd.profile": 'report { lvs_cols="c" vgs_cols="c" }',
    }
    for path, text in sources.items():
        path.write_text(text)
    config = system("report/lvs_cols=x", 'report/lvs_cols="o"', command_profile="cmd", metadata_profile="meta")
    names = ("lvs_cols", "vgs_cols", "pvs_cols", "lvs_sort")
    assert "".join(config.text(f"report/{name}") for name in names) == "oclf"
    assert config.raw(thin) == 3
    assert system(command_profile="cmd").raw(thin) == 2
    assert system(command_profile="cmd").with_metadata_profile("meta").raw(thin) == 3
    assert system(f"{thin}=4").with_metadata_profile("meta").raw(thin) == 4


@pytest.mark.parametrize(
    ("kind", "text", "wrong"),
    [
        ("metadata", "report/headings=0 activation/thin_pool_autoextend_percent=5", "report/headings"),
        ("metadata", 'devices { dir="/x" }', "devices/dir"),
        ("command", "report/headings=0 activation/thin_pool_autoextend_percent=5", "activation/thin_pool_auto"),
        ("command", "nonsense=1", "nonsense"),
    ],
)
def test_a_profile_with_a_setting_that_is_not_for_its_kind_is_refused(system, kind, text, wrong):
    """As in LVM2, which ignores such a profile whole and then has none to apply."""
    (system.dir / "profile").mkdir()
    (system.dir / "profile" / "odd.profile").write_text(text)
    with pytest.raises(ConfigError, match=f"is no {kind} profile: {wrong}"):
        system(**{f"{kind}_profile": "odd"})


def test_a_configuration_that_cannot_be_used_has_a_status_of_its_own(system):
    """LVM2 ends with 4 before it does anything; what the command line says wrongly is a matter of that."""
    for text in ("global {", 'global/units="foo"', 'activation/readahead="foo"'):
        (system.dir / "lvm.conf").write_text(text)
        with pytest.raises(ConfigError) as caught:
            system()
        assert caught.value.exit_code == 4
    (system.dir / "lvm.conf").write_text("")
    with pytest.raises(UsageError):
        system("global {")
    for text in ('global/units="foo"', 'activation/readahead="foo"'):
        with pytest.raises(ConfigError) as caught:
            system(text)
        assert caught.value.exit_code == 5


def test_lists_of_later_files_go_in_front(system):
    """volume_list, filter and types of lvmlocal.conf come before those of lvm.conf, as in LVM2."""
    (system.dir / "lvm.conf").write_text('devices { filter=["r|b|"] global_filter=["r|b|"] }')
    (system.dir / "lvmlocal.conf").write_text('devices { filter=["a|a|"] global_filter=["a|a|"] }')
    config = system()
    assert config.words("devices/filter") == ("a|a|", "r|b|")
    assert config.words("devices/global_filter") == ("a|a|",)


def test_host_tags_bring_their_files(system):
    """A tag that names this host, or no host, is set and brings lvm_TAG.conf; another host's is not."""
    host = os.uname().nodename
    (system.dir / "lvm.conf").write_text(
        f'tags {{ hosttags=1 @all {{ }} mine {{ host_list=["{host}"] }} theirs {{ host_list=["other"] }} }}'
    )
    (system.dir / "lvm_mine.conf").write_text('global/units="h" tags { more { } }')
    (system.dir / "lvm_theirs.conf").write_text("global/suffix=0")
    config = system()
    assert set(config.host_tags) == {host, "all", "mine", "more"}
    assert config.text("global/units") == "h"
    assert config.flag("global/suffix") is True


@pytest.mark.parametrize(
    ("written", "read"),
    [("1", True), ("0", False), ('"yes"', True), ('"off"', False), ("y", True), ("7", True), ('"maybe"', True)],
)
def test_flags_as_lvm2_reads_them(written, read):
    """Numbers and words; what is neither counts as not set, with a warning."""
    config = Config([parse(f"global/suffix={written}", "test")])
    assert config.flag("global/suffix") is read
    assert len(config.warnings) == ("maybe" in written)


def test_a_value_of_the_wrong_type_is_ignored_with_a_warning():
    """LVM2 goes on with the default, and so does vmgr."""
    config = Config([parse('backup/retain_min="ten" global/units=5 devices/filter=[1]', "test")])
    assert config.number("backup/retain_min") == 10
    assert config.text("global/units") == "r"
    assert config.words("devices/filter") == ("a|.*|",)
    assert len(config.warnings) == 3


def test_an_empty_list_is_not_the_same_as_none():
    """volume_list=[] activates nothing; no volume_list activates everything."""
    assert Config([parse("activation/volume_list=[]", "test")]).words_if_set("activation/volume_list") == ()
    assert Config().words_if_set("activation/volume_list") is None
    assert Config([parse('activation/volume_list="vg"', "test")]).words_if_set("activation/volume_list") == ("vg",)


def test_an_octal_umask():
    """077 is 63, as everybody writes umasks."""
    assert Config([parse("global/umask=077", "test")]).number("global/umask") == 0o77


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# x\ndevices {\n  filter = \n}\n", 3),
        ("# one\n\ndevices {\n", 4),
        ('# a\nglobal {\n  # b\n  units = "h\n}\n', 4),
        ("a = 1\n\n# x\n}\n", 4),
    ],
)
def test_a_wrong_line_is_named(system, text, line):
    """Comments are counted: the number is that of the file's line."""
    (system.dir / "lvm.conf").write_text(text)
    with pytest.raises(ConfigError) as caught:
        system()
    assert f"{system.dir}/lvm.conf, line {line}" in caught.value.message


def test_a_string_over_two_lines_keeps_what_looks_like_a_comment():
    """Only real comments are dropped."""
    layer = parse('a {\n b = "one\n# two"\n}\n# three\n', "test")
    assert layer["a/b"] == "one\n# two"


def test_an_unreadable_file_is_an_error_and_a_missing_one_is_not(system):
    """Going on without the filters that a file would set could touch the wrong disks."""
    (system.dir / "lvm.conf").mkdir()
    with pytest.raises(ConfigError, match="cannot read"):
        system()


def test_an_unknown_profile_is_an_error(system):
    """A profile that is asked for must be there."""
    with pytest.raises(ConfigError, match="profile none not found"):
        system(command_profile="none")
    with pytest.raises(ConfigError, match="invalid profile name"):
        system(metadata_profile="../x")


def test_an_empty_system_directory_reads_no_file():
    """``LVM_SYSTEM_DIR=""``: defaults only."""
    config = load(environ={"LVM_SYSTEM_DIR": ""})
    assert config.system_dir == ""
    assert config.text("global/locking_dir") == "/run/lock/lvm"


def test_the_device_directory(system):
    """DM_DEV_DIR beats devices/dir; it must be absolute."""
    assert system('devices/dir="/x/"').dev_dir == "/x"
    assert system('devices/dir="/x"', env={"DM_DEV_DIR": "/y/"}).dev_dir == "/y"
    with pytest.raises(ConfigError):
        system(env={"DM_DEV_DIR": "y"})


def test_a_file_of_comments_costs_nothing_to_read():
    """Shipped files are comments: they parse to nothing."""
    assert parse("# a\n\t# b = 1\n\n", "test") == {}
