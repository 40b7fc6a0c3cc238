"""Finding plugins: what is installed is found, one that cannot be used is left out and named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmgr.core.errors import PluginError
from vmgr.registry import find_plugins, load_targets


def distribution(site: Path, name: str, entry_points: str) -> None:
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return tmp_path


def test_finds_what_importlib_metadata_finds() -> None:
    """The quick reader and the standard one agree about the whole environment."""
    from importlib.metadata import entry_points

    ours = {(name, value) for name, value, _ in find_plugins()}
    assert ours == {(e.name, e.value) for e in entry_points(group="vmgr.targets")}
    assert {"linear", "striped", "snapshot"} <= {name for name, _ in ours}


def test_a_plugin_installed_a_moment_ago_is_found(site: Path) -> None:
    """Nothing is cached: what appears is seen by the next look."""
    before = find_plugins()
    distribution(
        site, "stranger", "[console_scripts]\nx = y\n[vmgr.targets]\n# a comment\nodd = stranger.mod:obj\n"
    )
    assert set(find_plugins()) - set(before) == {("odd", "stranger.mod:obj", "stranger-1.0")}


def test_a_stranger_with_the_name_of_vmgrs_own_is_left_out(site: Path) -> None:
    """The warning names both packages' objects; the name means vmgr's own."""
    distribution(site, "impostor", "[vmgr.targets]\nlinear = impostor\n")
    said: list[str] = []
    assert {"linear", "snapshot"} <= {info.name for info in load_targets(said.append).infos()}
    (line,) = said
    assert "'linear' (impostor, from impostor-1.0) has the name of a plugin (vmgr.plugins.linear)" in line
    assert "uninstall impostor" in line


def test_of_two_strangers_of_one_name_both_are_left_out(site: Path) -> None:
    for name in ("one", "two"):
        distribution(site, name, f"[vmgr.targets]\nodd = module_{name}\n")
    said: list[str] = []
    load_targets(said.append)
    assert ["uninstall one or two" in line or "uninstall two or one" in line for line in said] == [True, True]


@pytest.mark.parametrize("fault", ["raise RuntimeError('no')", "raise SystemExit", "import no_such_module_at_all"])
def test_a_plugin_that_cannot_be_imported_is_left_out_and_named(site: Path, fault: str) -> None:
    """The warning says which plugin, from which distribution, and why; the others are there."""
    distribution(site, "broken", "[vmgr.targets]\nbroken = broken_module\n")
    (site / "broken_module.py").write_text(f"{fault}\n")
    site.chmod(0o755)
    said: list[str] = []
    assert {"linear", "snapshot"} <= {info.name for info in load_targets(said.append).infos()}
    (line,) = said
    assert "'broken' (broken_module, from broken-1.0) cannot be loaded" in line
    assert "pip install --force-reinstall broken" in line
    with pytest.raises(PluginError, match="'broken'"):
        load_targets()


PLANTED = "[vmgr.targets]\nplanted = planted_module\n"


def plant(place: Path, witness: Path) -> None:
    """A plugin whose import leaves a trace."""
    distribution(place, "planted", PLANTED)
    (place / "planted_module.py").write_text(f"open({str(witness)!r}, 'w').close()\nraise ImportError('planted')\n")


@pytest.fixture
def program() -> list[str]:
    """vmgr as pip installs it: a script whose interpreter is not isolated."""
    return [str(Path(sys.executable).parent / "vmgr"), "plugins"]


@pytest.mark.parametrize("where", ["PYTHONPATH", "current", "user site"])
def test_nothing_that_the_caller_planted_is_imported(tmp_path: Path, program: list[str], where: str) -> None:
    """Whether named by PYTHONPATH or lying where the command is called, or in a home that is not root's."""
    place, witness = tmp_path / "place", tmp_path / "witness"
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    if where == "user site":
        if os.geteuid() != 0:
            pytest.skip("expected: only for root another's home is strange")
        place = tmp_path / f".local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        place.mkdir(parents=True)
        os.chown(place, 65534, 65534)
        program = [sys.executable, "-c", OUTSIDE_VENV, *program]
    plant(place, witness)
    if where == "PYTHONPATH":
        env["PYTHONPATH"] = str(place)
    if where == "current":
        env["PYTHONPATH"] = ":"
    done = subprocess.run(program, cwd=place, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "linear" in done.stdout
    assert "planted" not in done.stdout + done.stderr
    assert not witness.exists()


OUTSIDE_VENV = """
import site, sys
site.ENABLE_USER_SITE = True
sys.path.append(site.getusersitepackages())
sys.argv = sys.argv[1:]
sys.exit(__import__("vmgr.cli.main").cli.main.main())
"""


def test_what_pythonpath_names_stays_where_packages_are_installed(program: list[str]) -> None:
    """A variable that names the environment's own folder takes nothing away."""
    site = next(p for p in sys.path if p.endswith("site-packages"))
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": site}
    done = subprocess.run(program, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="expected: only root refuses")
class TestAsRoot:
    """A plugin that others can change is left out, named, with the reason; the others work."""

    def test_an_open_folder(self, site: Path, tmp_path: Path) -> None:
        plant(site, tmp_path / "witness")
        tmp_path.chmod(0o777)
        said: list[str] = []
        assert {"linear", "snapshot"} <= {info.name for info in load_targets(said.append).infos()}
        (line,) = said
        assert "'planted' (from planted-1.0) is not loaded: everybody can write to" in line
        assert not (tmp_path / "witness").exists()

    def test_without_anybody_to_warn_it_is_an_error(self, site: Path) -> None:
        plant(site, site / "witness")
        site.chmod(0o777)
        with pytest.raises(PluginError, match=r"'planted' .* is not loaded: everybody can write to") as caught:
            load_targets()
        assert "root" in caught.value.hint

    def test_an_open_file_in_a_package(self, site: Path) -> None:
        distribution(site, "planted", "[vmgr.targets]\nplanted = planted_package.deep\n")
        (site / "planted_package").mkdir()
        (site / "planted_package/__init__.py").write_text("")
        (site / "planted_package/deep.py").write_text("raise SystemExit")
        (site / "planted_package/deep.py").chmod(0o666)
        said: list[str] = []
        load_targets(said.append)
        assert f"everybody can write to {site}/planted_package/deep.py" in said[0]

    def test_another_users_file(self, site: Path) -> None:
        plant(site, site / "witness")
        os.chown(site / "planted_module.py", 65534, 65534)
        said: list[str] = []
        load_targets(said.append)
        assert "planted_module.py belongs to user nobody" in said[0]
