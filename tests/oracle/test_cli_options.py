"""Every option of LVM2's commands is either vmgr's, with the same letter, or refused by name."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess

import pytest

from vmgr.cli.declare import from_spec, plugin_options
from vmgr.cli.manual import own_plugins
from vmgr.cli.options_common import COMMON
from vmgr.cli.parse import parse
from vmgr.cli.registry import COMMANDS, LVM2_ONLY, load
from vmgr.core.errors import UsageError

pytestmark = pytest.mark.skipif(shutil.which("lvm") is None, reason="needs Debian's lvm2")


def lvm(*words: str) -> str:
    environ = {**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1", "LVM_SYSTEM_DIR": "", "LC_ALL": "C"}
    done = subprocess.run(
        ["lvm", *words], env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr  # "help" prints on both


def their_options(name: str) -> dict[str, str]:
    """Long names of LVM2's options with their letters, from its own help."""
    return {long: short for short, long in re.findall(r"(?<![\w-])(?:-(\w)\|)?--([a-z]+)", lvm(name, "--help"))}


def our_options(name: str) -> dict[str, str]:
    command = load(name)
    plugins = [from_spec(s, info.name) for info in own_plugins() for s in info.options if name in s.commands]
    options = (*command.options, *COMMON, *(plugins if command.from_plugins else ()))
    return {n: option.short for option in options for n in (option.name, *option.aliases)}


OWN = {"doctor", "plugins", "version"}
"""Commands that LVM2 does not have, or (version) has without options."""


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - OWN))
def test_each_option_of_lvm2_is_known(name):
    ours = our_options(name)
    refused = {word.partition("/")[0]: word.partition("/")[2] for word in load(name).unsupported}
    theirs = their_options(name)
    assert len(theirs) > 10
    missing = {long for long in theirs if long not in ours and long not in refused}
    assert missing == set()
    letters = {long: short for long, short in theirs.items() if short}
    assert {long: ours.get(long, refused.get(long)) for long in letters} == letters


def test_each_command_of_lvm2_is_known():
    theirs = set(re.findall(r"(?m)^  ([a-z]+) +\S", lvm("help"))) - {"help", "lvmpolld"}
    assert len(theirs) > 40
    assert theirs - set(COMMANDS) - set(LVM2_ONLY) == set()


# -- the same lines parse, and the same are refused -----------------------------------------------

WORDS = {
    "lvcreate": (
        "-L1g -L 5 --size=10m -l10 -l 50%FREE -l100%V -l5%foo -n --name=x -an -aey -ax -a ay --activate"
        " --activ=y --av n -Zn -Z maybe -y -yy -v -vvv -qq -t --test --te --noudevs --no --addtag=a"
        " --addt=@b --addtag=a^b --alloc cling --alloc=best --all normal -C y -Cx -p r -prw -px -r auto -r256"
        " -rfoo -M y --minor 5 --minor -5 -j 7 -j x -k y -K --ignorea -W n --wi y --type=linear -i 2 -I64 -c"
        " 8k -s --config a=1 --config= --devicesfile x --devices /dev/x -- vg vg/lv @t /dev/vg/lv - -L+1g"
        " -L-1g -Lx -L --reportformat json --reportformat xml --set-activation-skip n --setau y --bogus -X -h"
    ),
    "lvs": (
        "-a -o name -o+x -oy --opt z -O a --so b --noh --no-headings --nosu --nos --units k --un g"
        " --separator : --sep -S x=1 --select y --rep json --rows --ro --seg --unb --unq --name --al --all"
        " --ali --bin --foreign -P --readonly --readonly=1 -H -v -d -dd --ignorelock --logonly --config x"
        " --aligned vg vg/lv @tag -- -z --zz"
    ),
    "lvresize": (
        "-L+1g -L-1g -L 1 -L+-1 -l+5 -l-50%LV -l +x -r -n -f -ff --force -y -i2 -I 8 --alloc inherit vg/lv -L"
    ),
    "vgcreate": (
        "-s 4m -s4x --phys 8m -l5 -l -5 -p 6 --max 7 --maxl 7 --maxp=8 --vgm all --vgm 2 --vgmetadatacopies"
        " unmanaged --vgm x --pvm 1 --pvmetadatacopies 3 --metadatacopies 1 --metadatas 1m --dataalignment 64k"
        " --dataal 1m -Zy --labels 1 -M lvm2 -M2 -M lvm1 --zero n --addtag=x --systemid y --setau n vg /dev/a"
        " /dev/b -A y -A z"
    ),
    "vgchange": (
        "-ay -aly -aln -asy -an -a --activate y -x y --resize n --resizab y --allocation n --allo y -u --uu"
        " -s 8m -l 3 --logical 4 -K -P --partial --ref --poll y --mon n --ignorem --sys --sysinit --addtag=a"
        " --delt=b vg @t --activationm=partial --activat y --systemid q --noudev"
    ),
    "pvcreate": (
        "-u x --uuid y --restore f --restoref g --noresto -ff -Zn --labelsector 2 --labels -1 --set 1g"
        " --setphys 2g --bootl 1m --metadatai y --metadatas 2m --metadata 1 --dataalignmento 4k --data 4k"
        " --pvm 2 --norestorefile a b"
    ),
    "lvconvert": ("--merge -b -i 5 -i x --inter 3 --interval=2 -f --force --alloc cling vg/a vg/b -y -t"),
}
"""Words of which lines are made. What vmgr refuses on purpose (options that it does not have, sizes that LVM2 reads
carelessly) is not among them."""


def lines(name: str) -> list[list[str]]:
    chance = random.Random(f"lines of {name}")
    words = WORDS[name].split()
    return [[word] for word in words] + [chance.choices(words, k=chance.randint(2, 5)) for _ in range(60)]


@pytest.mark.parametrize("name", sorted(WORDS))
def test_a_line_parses_exactly_if_it_does_so_for_lvm2(name):
    command = load(name)
    options = (*command.options, *(plugin_options(command, own_plugins()) if command.from_plugins else ()), *COMMON)
    environ = {**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1", "LVM_SYSTEM_DIR": "", "LC_ALL": "C"}
    differ = []
    for words in lines(name):
        line = [*(words[: words.index("--")] if "--" in words else words), "--version"]
        # --version keeps LVM2 from doing anything.
        done = subprocess.run(
            ["lvm", name, *line],
            env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        theirs = "Error during parsing of command line" not in done.stderr
        try:
            parse(command, options, line)
            ours = True
        except UsageError:
            ours = False
        if ours != theirs:
            differ.append((line, "only vmgr takes it" if ours else "only LVM2 takes it"))
    assert differ == []


def test_each_segment_type_of_lvm2_is_made_or_is_of_a_kind_that_vmgr_can_name():
    from vmgr.core.kinds import kind_of_type

    ours = {word for info in own_plugins() for word in info.types}
    theirs = re.findall(r"(?m)^  (\S+)$", lvm("segtypes"))
    assert len(theirs) > 20
    assert [word for word in theirs if word not in ours and not kind_of_type(word)] == []
    assert [word for word in theirs if word in ours and kind_of_type(word)] == []
