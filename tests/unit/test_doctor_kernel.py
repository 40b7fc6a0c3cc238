"""What `vmgr doctor` says of kernels: running ones, configured ones, and source trees from 2.4 to now."""

from __future__ import annotations

import gzip
import os

import pytest

from tests.support.doctor_tree import Tree
from vmgr.core.errors import ConfigError, NotFound
from vmgr.core.hooks import KernelTarget, TargetInfo
from vmgr.doctor import abilities, kernel, plugins, targets
from vmgr.doctor.examine import Question, examine
from vmgr.doctor.finding import OK, PROBLEM, WARNING
from vmgr.doctor.kernelconfig import given_config, given_tree, parse
from vmgr.doctor.machine import look
from vmgr.doctor.modules import ModuleTree, read_modules


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path, registered=False)


def presence(tree):
    return kernel.presence(kernel.gather(look(tree.roots)))


def all_of(tree):
    return {finding.id: finding for finding in kernel.check(kernel.gather(look(tree.roots)))}


# -- the running kernel ---------------------------------------------------------------------------


def test_a_registered_device_mapper_is_a_loaded_module_if_the_kernel_lists_it(tmp_path):
    found = presence(Tree(tmp_path))
    assert (found.id, found.state) == ("kernel.module-loaded", OK)
    assert "Linux 6.1.0" in found.text


def test_a_registered_device_mapper_that_is_no_module_is_built_in(tmp_path):
    found = presence(Tree(tmp_path, loaded=False))
    assert (found.id, found.state) == ("kernel.built-in", OK)


def test_a_module_that_is_not_loaded_is_a_warning_that_fix_repairs(tree):
    tree.modules("dm-mod", "dm-snapshot")
    found = presence(tree)
    assert (found.id, found.state, found.remedy) == ("kernel.module", WARNING, "modprobe dm-mod")
    assert found.repair.kind == "load-module"


def test_a_configured_module_without_its_modules_names_the_directory(tree):
    tree.config("CONFIG_MD=y", "CONFIG_BLK_DEV_DM=m", "CONFIG_MODULES=y")
    found = presence(tree)
    assert (found.id, found.state) == ("kernel.modules-missing", PROBLEM)
    assert "/lib/modules/6.1.0 is not there" in found.text
    tree.modules("md-mod")
    assert presence(tree).text.endswith("lacks it")


def test_a_module_directory_without_an_index_wants_depmod(tree):
    (tree.path / "lib/modules/6.1.0").mkdir(parents=True)
    found = presence(tree)
    assert (found.id, found.remedy) == ("kernel.depmod", "depmod -a 6.1.0")
    tree.config("CONFIG_MD=y", "CONFIG_BLK_DEV_DM=m")
    assert presence(tree).id == "kernel.depmod"


@pytest.mark.parametrize(
    ("lines", "off", "settings"),
    [
        (["# CONFIG_MD is not set", "CONFIG_MODULES=y"], "CONFIG_MD", "CONFIG_MD=y, CONFIG_BLK_DEV_DM=m"),
        (
            ["# CONFIG_MD is not set", "# CONFIG_MODULES is not set"],
            "CONFIG_MD",
            "CONFIG_MD=y, CONFIG_BLK_DEV_DM=y",
        ),
        (["CONFIG_MD=y", "# CONFIG_BLK_DEV_DM is not set"], "CONFIG_BLK_DEV_DM", "CONFIG_BLK_DEV_DM=m"),
    ],
)
def test_an_absent_device_mapper_names_the_symbol_that_is_off(tree, lines, off, settings):
    tree.config(*lines)
    found = presence(tree)
    assert (found.id, found.state) == ("kernel.absent", PROBLEM)
    assert f"{off} is not set in " in found.text
    assert settings in found.remedy


def test_a_built_in_device_mapper_that_does_not_show_is_a_problem(tree):
    tree.config("CONFIG_MD=y", "CONFIG_BLK_DEV_DM=y")
    assert presence(tree).id == "kernel.not-registered"


def test_without_any_trace_it_is_absent_and_a_configuration_is_asked_for(tree):
    found = presence(tree)
    assert (found.id, found.state) == ("kernel.absent", PROBLEM)
    assert "--kernel-config" in found.remedy


def test_an_unreadable_proc_is_a_warning_and_nothing_is_claimed(tree):
    for name in ("misc", "devices", "modules"):
        tree.remove(f"proc/{name}")
    found = presence(tree)
    assert (found.id, found.state) == ("kernel.unknown", WARNING)


def test_proc_config_gz_is_found_before_the_one_in_boot(tree):
    tree.write("proc/config.gz", gzip.compress(b"CONFIG_MD=y\nCONFIG_BLK_DEV_DM=m\n"))
    tree.config("# CONFIG_MD is not set")
    assert presence(tree).facts["config"].endswith("/proc/config.gz")


def test_a_damaged_configuration_is_said_and_the_next_one_used(tree):
    tree.write("proc/config.gz", gzip.compress(b"CONFIG_MD=y\n")[:-9])
    tree.config("# CONFIG_MD is not set")
    found = all_of(tree)
    assert found["kernel.config-unusable"].state == WARNING
    assert found["kernel.absent"].facts["config"].endswith("/boot/config-6.1.0")


def test_lines_in_modprobe_d_that_change_loading_are_told(tree):
    tree.modules("dm-mod")
    path = tree.write("etc/modprobe.d/local.conf", "# x\nblacklist dm-mod\ninstall dm_mod /bin/true\n")
    found = all_of(tree)
    assert f"{path}:2" in found["kernel.blacklist"].text
    assert found["kernel.blacklist"].state == WARNING
    assert "/bin/true" in found["kernel.install"].text


def test_the_script_of_2003_in_modules_conf_is_told_to_be_of_no_use(tree):
    tree.write("etc/modules.conf", "post-install dm-mod /etc/init.d/devmap_mknod.sh\n")
    assert "devmap_mknod" in all_of(tree)["kernel.post-install"].text


def test_a_kernel_without_semaphores_cannot_be_waited_for(tmp_path):
    tree = Tree(tmp_path)
    tree.config("CONFIG_BLK_DEV_DM=y", "# CONFIG_SYSVIPC is not set")
    assert all_of(tree)["kernel.no-semaphores"].state == WARNING


# -- freezing and the interface -------------------------------------------------------------------


def facts(**given):
    return kernel.Facts(**{"running": True, "release": "6.1.0", "registered": True, **given})


def test_every_kernel_since_2_6_freezes_file_systems_and_4_5_can_leave_it_out():
    (found,) = abilities.freezing(facts(interface=(4, 47, 0)))
    assert (found.id, found.state, found.facts["skip"]) == ("kernel.freeze", OK, True)
    (found,) = abilities.freezing(facts(release="2.6.9", interface=(4, 4, 0)))
    assert (found.state, found.facts["skip"]) == (OK, False)
    assert "needs interface 4.5.0" in found.text


def test_a_2_4_kernel_needs_the_vfs_lock_patch():
    (found,) = abilities.freezing(facts(release="2.4.20"))
    assert (found.id, found.state) == ("kernel.freeze-missing", WARNING)
    assert "VFS lock patch" in found.remedy


def test_an_interface_of_another_generation_is_a_problem():
    (found,) = abilities.interface(facts(interface=(1, 0, 6)))
    assert (found.id, found.state) == ("kernel.interface-generation", PROBLEM)


# -- given configurations and trees ---------------------------------------------------------------


def given(config="", directory=""):
    found = examine(Question(kernel_config=config, kernel_dir=directory))
    return {finding.id: finding for finding in found}


CONFIG_24 = (
    "#\n# Automatically generated make config: don't edit\n#\nCONFIG_X86=y\nCONFIG_MD=y\nCONFIG_BLK_DEV_DM=m\n"
)
CONFIG_26 = (
    "#\n# Automatically generated make config: don't edit\n# Linux kernel version: 2.6.18\n"
    "# Sun Oct  1 12:00:00 2006\n#\nCONFIG_MD=y\nCONFIG_BLK_DEV_DM=y\nCONFIG_DM_SNAPSHOT=m\n"
    "# CONFIG_DM_ZERO is not set\n"
)
CONFIG_2 = (
    "#\n# Linux/x86_64 2.6.32-5-amd64 Kernel Configuration\n#\nCONFIG_MD=y\nCONFIG_BLK_DEV_DM=m\n"
    "CONFIG_DM_SNAPSHOT=m\n"
)
CONFIG_6 = "#\n# Linux/arm64 6.12.6 Kernel Configuration\n#\nCONFIG_MODULES=y\n# CONFIG_MD is not set\n"


@pytest.mark.parametrize(
    ("text", "version", "how"),
    [
        (CONFIG_24, "", "m"),
        (CONFIG_26, "2.6.18", "y"),
        (CONFIG_2, "2.6.32-5-amd64", "m"),
        (CONFIG_6, "6.12.6", "n"),
    ],
)
def test_configurations_of_every_age_are_read_plain_and_compressed(tmp_path, text, version, how):
    for name, data in (("config", text.encode()), ("config.gz", gzip.compress(text.encode()))):
        (tmp_path / name).write_bytes(data)
        config = given_config(str(tmp_path / name))
        assert (config.version, config.value("BLK_DEV_DM")) == (version, how)


def test_a_given_configuration_is_judged_in_place_of_the_machine(tmp_path):
    path = tmp_path / "config-2.6.18"
    path.write_text(CONFIG_26)
    found = given(config=str(path))
    assert found["kernel.built-in"].facts["release"] == "2.6.18"
    assert {f.subject for f in found.values()} == {"kernel", "targets", "plugins"}
    assert found["plugins.target-missing"].remedy.endswith("CONFIG_DM_ZERO=m")
    assert "snapshot (module)" in found["targets.configured"].text


def test_a_missing_configuration_and_one_that_is_none_are_errors_with_a_hint(tmp_path):
    with pytest.raises(NotFound):
        given_config(str(tmp_path / "none"))
    (tmp_path / "text").write_text("nothing of the kind\n")
    with pytest.raises(ConfigError, match="not a kernel configuration"):
        given_config(str(tmp_path / "text"))
    with pytest.raises(ConfigError) as directory:
        given_config(str(tmp_path))
    assert "--kernel-dir" in directory.value.hint


def test_a_pipe_given_as_configuration_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="cannot read"):
        given_config(str(tmp_path / "pipe"))


def test_a_compressed_bomb_is_not_unpacked_whole(tmp_path):
    (tmp_path / "config.gz").write_bytes(gzip.compress(b"CONFIG_X=y\n" * (2 << 20)))
    with pytest.raises(ConfigError, match="too long"):
        given_config(str(tmp_path / "config.gz"))


def source(path, version, *, mapper=True, lock=False, config="", tools=False):
    """A source tree of a kernel as far as it matters."""
    numbers = dict(zip(("VERSION", "PATCHLEVEL", "SUBLEVEL"), version.split("."), strict=True))
    for folder in ("drivers/md", "include/linux", "fs", "scripts"):
        (path / folder).mkdir(parents=True)
    (path / "Makefile").write_text("".join(f"{k} = {v}\n" for k, v in numbers.items()) + "EXTRAVERSION =\n")
    (path / "fs/super.c").write_text("")
    (path / "include/linux/fs.h").write_text("extern int fsync_dev_lockfs(kdev_t);\n" if lock else "")
    if mapper:
        (path / "drivers/md/dm.c").write_text("")
        (path / "drivers/md/dm-snap.c").write_text(
            'static struct target_type snapshot_target = {\n\t.name    = "snapshot",\n\t.version = {1, 16, 0},\n'
            "\t.module  = THIS_MODULE,\n};\n"
        )
        (path / "include/linux/dm-ioctl.h").write_text(
            "#define DM_VERSION_MAJOR\t4\n#define DM_VERSION_MINOR\t7\n#define DM_VERSION_PATCHLEVEL\t0\n"
        )
    if config:
        (path / ".config").write_text(config)
    if tools:
        (path / "scripts/config").write_text("#!/bin/bash\n")
    return str(path)


def test_a_2_4_tree_without_the_patch_says_how_to_patch_it(tmp_path):
    path = source(tmp_path / "linux", "2.4.20", mapper=False, config="CONFIG_X86=y\nCONFIG_MD=y\n")
    found = given(directory=path)["kernel.not-in-source"]
    assert found.state == PROBLEM
    assert found.remedy.endswith(f"./configure --with-kernel-dir={path} && make apply-patches")


def test_a_patched_2_4_tree_is_right_but_for_the_lock_patch(tmp_path):
    path = source(tmp_path / "a", "2.4.20", config=CONFIG_24)
    found = given(directory=path)
    assert found["kernel.configured-module"].state == OK
    assert found["kernel.freeze-missing"].state == PROBLEM
    path = source(tmp_path / "b", "2.4.20", lock=True, config=CONFIG_24)
    assert given(directory=path)["kernel.freeze"].state == OK


def test_a_tree_tells_its_interface_and_the_versions_of_its_targets(tmp_path):
    path = source(tmp_path / "linux", "2.6.18", config=CONFIG_26)
    found = given(directory=path)
    assert found["kernel.interface"].facts["interface"] == "4.7.0"
    assert found["targets.source"].facts["targets"] == {"snapshot": "1.16.0"}


def test_a_tree_that_is_not_configured_wants_to_be(tmp_path):
    path = source(tmp_path / "linux", "6.1.0")
    assert "menuconfig" in given(directory=path)["kernel.not-configured"].remedy


def test_the_remedy_for_a_tree_is_a_command_that_can_be_run(tmp_path):
    path = source(tmp_path / "linux", "6.12.6", config=CONFIG_6, tools=True)
    assert given(directory=path)["kernel.absent"].remedy == (
        f"cd {path} && scripts/config -e MD -m BLK_DEV_DM && make olddefconfig"
    )


def test_a_module_directory_is_a_kernel_too_and_its_build_tree_is_found(tmp_path):
    tree = Tree(tmp_path / "m")
    tree.modules("dm-mod", "dm-zero")
    directory = str(tree.path / "lib/modules/6.1.0")
    facts = kernel.of_given(None, given_tree(directory))
    assert (facts.release, kernel.presence(facts).id) == ("6.1.0", "kernel.configured-module")
    tree.write("lib/modules/6.1.0/build/include/config/kernel.release", "6.1.0-local\n")
    tree.write("lib/modules/6.1.0/build/include/config/auto.conf", "CONFIG_MD=y\nCONFIG_BLK_DEV_DM=m\n")
    facts = kernel.of_given(None, given_tree(directory))
    assert (facts.release, facts.config.value("BLK_DEV_DM")) == ("6.1.0-local", "m")


def test_a_directory_that_is_no_kernels_is_refused(tmp_path):
    with pytest.raises(ConfigError):
        given_tree(str(tmp_path))
    with pytest.raises(NotFound):
        given_tree(str(tmp_path / "none"))


def test_both_given_the_configuration_wins_and_the_tree_gives_the_version(tmp_path):
    path = source(tmp_path / "linux", "6.12.6", config=CONFIG_6)
    (tmp_path / "other").write_text("CONFIG_MD=y\nCONFIG_BLK_DEV_DM=y\n")
    found = given(str(tmp_path / "other"), path)
    assert found["kernel.built-in"].facts["release"] == "6.12.6"


# -- modules, targets, plugins --------------------------------------------------------------------


def test_targets_are_found_by_name_alias_or_the_module_that_the_plugin_names(tree):
    tree.modules("dm-mod", "dm-zero", "dm-snapshot", aliases="alias dm-snapshot-origin dm_snapshot\n")
    modules = read_modules(str(tree.path / "lib/modules/6.1.0"))
    assert modules.provider("zero") == ("dm-zero", "module")
    assert modules.provider("snapshot-origin") == ("dm-snapshot", "module")
    assert modules.provider("snapshot-merge", "dm-snapshot") == ("dm-snapshot", "module")
    assert modules.provider("linear", "dm-mod") == ("dm-mod", "module")
    assert modules.provider("crypt") == ("", "")
    assert modules.target_modules() == ("dm-snapshot", "dm-zero")


def test_modules_that_serve_targets_are_not_called_targets():
    """Those of Linux 6.1 that the kernel loads for other modules, and never for a table."""
    helpers = [
        "bio-prison", "bufio", "cache-smq", "historical-service-time", "io-affinity", "log", "log-userspace", "mod",
        "persistent-data", "queue-length", "region-hash", "round-robin", "service-time",
    ]  # fmt: skip
    targets = [
        "cache", "clone", "crypt", "delay", "dust", "ebs", "era", "flakey", "integrity", "log-writes", "mirror",
        "multipath", "raid", "snapshot", "switch", "thin-pool", "unstripe", "verity", "writecache", "zero", "zoned",
    ]  # fmt: skip
    files = {f"dm_{name.replace('-', '_')}": f"kernel/drivers/md/dm-{name}.ko" for name in (*helpers, *targets)}
    modules = ModuleTree("/lib/modules/6.1", True, files, frozenset(), {})
    assert modules.target_modules() == tuple(f"dm-{name}" for name in targets)


def test_what_is_built_in_is_known_from_either_index(tree):
    tree.modules(built_in=("dm-mod",))
    tree.write(
        "lib/modules/6.1.0/modules.builtin.modinfo",
        b"dm_zero.file=drivers/md/dm-zero\0dm_snapshot.file=drivers/md/dm-snapshot\0"
        b"dm_snapshot.alias=dm-snapshot-merge\0",
    )
    modules = read_modules(str(tree.path / "lib/modules/6.1.0"))
    assert modules.has("dm-mod") == "built in"
    assert modules.provider("zero") == ("dm-zero", "built in")
    assert modules.provider("snapshot-merge") == ("dm-snapshot", "built in")


def info(*needs):
    return TargetInfo("toy", "", ("toy",), frozenset(), (), needs)


def verdict(need, known, **given):
    plugin = plugins.Plugin("toy", "toy-1.0", info(need))
    (found,) = plugins.check((plugin,), facts(**given), known)
    return found


def test_a_loaded_target_that_is_new_enough_meets_the_need():
    assert verdict(KernelTarget("zero", (1, 1, 0)), {"zero": (1, 2, 0)}).id == "plugins.met"


def test_a_loaded_target_that_is_too_old_is_a_problem_with_both_versions():
    found = verdict(KernelTarget("zero", (1, 9, 0)), {"zero": (1, 2, 0)})
    assert (found.id, found.state) == ("plugins.target-old", PROBLEM)
    assert "1.9.0" in found.text
    assert "1.2.0" in found.text


def test_a_target_in_a_module_will_be_loaded(tree):
    tree.modules("dm-mod", "dm-zero")
    modules = read_modules(str(tree.path / "lib/modules/6.1.0"))
    found = verdict(KernelTarget("zero"), {"linear": (1, 4, 0)}, modules=modules)
    assert (found.id, found.state, found.repair) == ("plugins.target-module", OK, None)


def test_without_root_what_is_in_a_loaded_or_built_in_module_is_there(tree):
    tree.modules("dm-mod", built_in=("dm-zero",))
    modules = read_modules(str(tree.path / "lib/modules/6.1.0"))
    assert verdict(KernelTarget("linear", module="dm-mod"), None, modules=modules).id == "plugins.met"
    assert verdict(KernelTarget("zero"), None, modules=modules).id == "plugins.met"
    assert verdict(KernelTarget("zero"), {"linear": (1, 4, 0)}, modules=modules).id == "plugins.target-missing"


def test_a_target_that_no_module_has_names_the_symbol(tree):
    tree.modules("dm-mod")
    modules = read_modules(str(tree.path / "lib/modules/6.1.0"))
    found = verdict(KernelTarget("thin-pool", config="DM_THIN_PROVISIONING"), {}, modules=modules)
    assert (found.id, found.state) == ("plugins.target-missing", PROBLEM)
    assert "CONFIG_DM_THIN_PROVISIONING=m" in found.remedy


def test_what_cannot_be_known_is_not_called_a_problem():
    found = verdict(KernelTarget("zero"), None)
    assert (found.id, found.state) == ("plugins.target-unknown", "note")


def test_without_a_device_mapper_plugins_are_told_in_one_line():
    plugin = plugins.Plugin("toy", "toy-1.0", info(KernelTarget("zero")))
    (found,) = plugins.check((plugin, plugin), facts(registered=False), None)
    assert (found.id, found.state) == ("plugins.no-device-mapper", WARNING)


def test_where_the_kernel_is_not_known_plugins_are_not_judged():
    plugin = plugins.Plugin("toy", "toy-1.0", info(KernelTarget("zero")))
    (found,) = plugins.check((plugin, plugin), facts(registered=None), None)
    assert found.id == "plugins.kernel-unknown"


def test_a_package_of_headers_is_no_source(tmp_path):
    for name in ("drivers/md/Makefile", "Makefile"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".config").write_text("# CONFIG_MD is not set\n")
    assert given(directory=str(tmp_path))["kernel.absent"].state == PROBLEM


def test_a_plugin_that_cannot_be_imported_is_named_and_hides_no_other(tmp_path, monkeypatch):
    package = tmp_path / "odd-1.2.dist-info"
    package.mkdir()
    (package / "entry_points.txt").write_text("[vmgr.targets]\nodd = odd_plugin_that_fails\n")
    (tmp_path / "odd_plugin_that_fails.py").write_text("raise RuntimeError('broken')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {plugin.name: plugin for plugin in plugins.gather()}
    assert "RuntimeError: broken" in found["odd"].why
    assert found["linear"].info is not None
    broken = plugins.check((found["odd"],), facts(), {})[0]
    assert (broken.id, broken.state) == ("plugins.unusable", PROBLEM)
    assert broken.remedy.startswith("pip install --force-reinstall odd")


def test_no_plugin_at_all_is_a_problem():
    assert plugins.check((), facts(), {})[0].id == "plugins.none"


def test_targets_that_are_loaded_are_listed_with_versions():
    (found,) = targets.check(facts(), {"striped": (1, 6, 0), "linear": (1, 4, 0)})
    assert found.text == "loaded: linear 1.4.0, striped 1.6.0"
    assert targets.check(facts(why_not_asked="only root"), None)[0].id == "targets.unknown"


def test_a_configuration_without_a_symbol_is_none():
    with pytest.raises(ConfigError):
        parse("# CONFIG\n", "x")
