"""The two tables of settings: each setting that is said to be obeyed has a reader, each other one is told of."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import vmgr
from vmgr.doctor import settings as doctor
from vmgr.doctor.finding import NOTE, OK, WARNING
from vmgr.system.config import Config, parse
from vmgr.system.disregarded import DISREGARDED
from vmgr.system.settings import DEFAULTS
from vmgr.system.without_effect import disregarded, told_by

ROOT = Path(vmgr.__file__).parent
TABLES = {ROOT / "system" / "settings.py", ROOT / "system" / "disregarded.py"}
KINDS = ("lvs", "vgs", "pvs", "segs", "pvsegs")


def words_used() -> dict[str, set[str]]:
    """Every string that code, and no docstring, consists of, with the files that have it."""
    found: dict[str, set[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        if path in TABLES:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.setdefault(node.value, set()).add(str(path.relative_to(ROOT)))
    return found


USED = words_used()


def has_reader(setting: str) -> bool:
    """Whether code asks for the setting by its name.

    Reports get their section as a whole, without its name; their columns and sort keys are asked for by kind.
    """
    section, _, name = setting.partition("/")
    if setting in USED:
        return True
    if section != "report":
        return False
    kind, _, rest = name.partition("_")
    if kind in KINDS and rest in ("cols", "cols_verbose", "sort"):
        return any(place.startswith("report/") for place in USED.get(f"_{rest}", ()))
    return any(place.startswith(("report/", "cli/reports")) for place in USED.get(name, ()))


@pytest.mark.parametrize("setting", DEFAULTS)
def test_a_setting_that_is_said_to_be_obeyed_has_a_reader(setting: str) -> None:
    assert has_reader(setting), f"no code reads {setting}: obey it, or tell of it in vmgr/system/disregarded.py"


@pytest.mark.parametrize("setting", DISREGARDED)
def test_a_setting_without_effect_is_in_no_other_table_and_has_no_reader(setting: str) -> None:
    assert setting not in DEFAULTS
    assert not has_reader(setting)
    assert DISREGARDED[setting].why


def config(text: str) -> Config:
    return Config([parse(text, "test")], system_dir="/nowhere")


# -- the doctor -----------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", DISREGARDED)
def test_the_doctor_names_a_setting_that_is_set_and_not_obeyed(setting: str) -> None:
    known = DISREGARDED[setting]
    other = '"other"' if isinstance(known.default, str) or known.default is None else "77"
    if isinstance(known.default, bool):
        other = str(int(not known.default)) if known.like is None else '"neither"'
    (finding,) = doctor.check(doctor.gather(config(f"{setting}={other}")))
    assert finding.text.startswith(f"{setting} = {other} has no effect: ")
    assert finding.state == (WARNING if known.data else NOTE)
    assert bool(finding.remedy) == known.data


@pytest.mark.parametrize("setting", DISREGARDED)
def test_a_setting_at_its_default_or_as_vmgr_does_it_is_not_named(setting: str) -> None:
    for value in (DISREGARDED[setting].default, DISREGARDED[setting].like):
        if value is not None:
            word = f'"{value}"' if isinstance(value, str) else str(int(value))  # type: ignore[arg-type]
            (finding,) = doctor.check(doctor.gather(config(f"{setting}={word}")))
            assert finding.state == OK


def test_settings_of_what_vmgr_does_not_have_and_unknown_ones_are_named() -> None:
    text = 'allocation { thin_pool_zero=0 nonsense=[1, "x"] } global { units="h" } tags { hosttags=1 mine { } }'
    assert dict(disregarded(config(text))) == {"allocation/thin_pool_zero": 0, "allocation/nonsense": (1, "x")}
    findings = doctor.check(doctor.gather(config(text)))
    assert [finding.text for finding in findings] == [
        'allocation/nonsense = [ 1, "x" ] has no effect: vmgr does not know this setting',
        "allocation/thin_pool_zero = 0 has no effect: vmgr has no thin volumes of its own yet",
    ]


def test_without_a_configuration_the_doctor_leaves_it_to_the_subject_that_says_why() -> None:
    assert doctor.check(doctor.gather(None)) == ()


# -- the command ----------------------------------------------------------------------------------


def test_a_command_whose_data_depend_on_a_setting_without_effect_says_so() -> None:
    some = config('activation/snapshot_autoextend_threshold=70 metadata/dirs=["/x"]')
    (message,) = told_by(some, "lvcreate", frozenset(("snapshot", "size")))
    assert message.startswith("activation/snapshot_autoextend_threshold = 70 in the configuration has no effect")
    assert told_by(some, "lvcreate", frozenset(("size",))) == ()
    assert [text.partition(" ")[0] for text in told_by(some, "vgcreate", frozenset())] == ["metadata/dirs"]
    same = config("activation/snapshot_autoextend_threshold=100")
    assert told_by(same, "lvcreate", frozenset(("snapshot",))) == ()
