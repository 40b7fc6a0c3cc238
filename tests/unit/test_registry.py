"""Finding plugins: what is installed is found, two of one name are refused, a broken one is named."""

from __future__ import annotations

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


def test_two_plugins_of_one_name_are_refused_by_name(site: Path) -> None:
    """The error names both packages' objects."""
    distribution(site, "impostor", "[vmgr.targets]\nlinear = impostor\n")
    with pytest.raises(PluginError, match=r"'linear': .*impostor"):
        find_plugins()


def test_a_plugin_that_cannot_be_imported_is_named(site: Path) -> None:
    """The message says which plugin, from which distribution, and why."""
    distribution(site, "broken", "[vmgr.targets]\nbroken = no_such_module_at_all\n")
    with pytest.raises(PluginError, match=r"'broken' .*broken-1\.0.*no_such_module_at_all"):
        load_targets()
