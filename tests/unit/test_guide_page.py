"""``docs/installation-guide.md`` names only what there is."""

from __future__ import annotations

import re

from tests.support.guide import PAGE, steps
from vmgr.cli.dm.command import options_of
from vmgr.cli.dm.registry import SUBCOMMANDS, load
from vmgr.cli.registry import COMMANDS, MOUNTED
from vmgr.cli.registry import load as load_command
from vmgr.doctor.examine import SUBJECTS

CODE = re.compile(r"`([^`\n]+)`")


def commands() -> list[list[str]]:
    """The words of every command of vmgr's on the page, of a link too, without comments."""
    lines = [line for step in steps() for line in step.script.splitlines()]
    lines += CODE.findall(re.sub(r"(?s)```.*?```", "", PAGE.read_text()))
    found = [re.sub(r'"[^"]*"', "X", line.partition("#")[0]).split() for line in lines]
    return [words for words in found if words[:1] == ["vmgr"] and len(words) > 1]


def test_every_command_exists_and_has_its_options() -> None:
    found = commands()
    assert {"dm", "doctor", "lab", "lvcreate"} <= {words[1] for words in found}
    for _, name, *rest in found:
        given = {word.strip("-").partition("=")[0] for word in rest if word.startswith("--") and word != "--"}
        if name == "dm":
            assert rest[0] in SUBCOMMANDS
            assert given <= {option.name for option in options_of(load(rest[0]))}
        elif name == "doctor":
            assert given <= {option.name for option in load_command(name).options}
            assert {w for w in rest if not w.startswith(("-", "/"))} <= set(SUBJECTS)
        else:
            assert name in (*COMMANDS, *MOUNTED)


def test_every_step_of_the_guide_of_2003_is_there() -> None:
    """Its five steps, the upgrade and the other interface; and each file, option and word that it named."""
    text = PAGE.read_text()
    assert re.findall(r"(?m)^## (\d)\.", text) == ["1", "2", "3", "4", "5"]
    for word in (
        "--with-kernel-dir", "apply-patches", "Multiple devices driver support", "Device mapper support",
        "patches/common", "VFS lock patch", "ext2", "make symlinks", "libdevmapper.so", "DESTDIR",
        "devmap_mknod.sh", "/etc/modules.conf", "post-install dm-mod", "/dev/mapper/control", "major=123",
        "/proc/devices", "dmsetup", "LVM2", "/dev/device-mapper", "0.96.04", "file system interface", "ioctl",
    ):  # fmt: skip
        assert word in text, word
