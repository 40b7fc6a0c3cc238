"""Lays down vmgr below a prefix, as ``make install`` and ``make deb`` ask for it, and takes it away again.

A wheel is built and unpacked with the libraries made for that. What a wheel has no place for (the launcher with
its isolated interpreter, completions, what systemd and udev read) is added to the same record of files, by which
``make uninstall`` works.
"""

from __future__ import annotations

import argparse
import io
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hatchling.build import build_wheel
from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.records import RecordEntry
from installer.sources import WheelFile

ROOT = Path(__file__).parents[1]
PACKAGING = ROOT / "packaging"

LAUNCHER = """#!{python} -I
# Isolated: neither PYTHONPATH nor the current directory decide what runs as root.
import _signal
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
import sys
{path}
from vmgr.__main__ import start

start()
"""

COMPLETIONS = {
    "bash": "share/bash-completion/completions/vmgr",
    "zsh": "share/zsh/site-functions/_vmgr",
    "fish": "share/fish/vendor_completions.d/vmgr.fish",
}

SYSTEM = {
    "vmgr-activation@.service": "lib/systemd/system/vmgr-activation@.service",
    "69-vmgr.rules": "lib/udev/rules.d/69-vmgr.rules",
    "tmpfiles.conf": "lib/tmpfiles.d/vmgr.conf",
    "modules-load.conf": "lib/modules-load.d/vmgr.conf",
}
"""What systemd and udev read: file in ``packaging``, place below the prefix."""


def module_folder(prefix: str, python: str) -> tuple[str, bool]:
    """Where the package goes below ``prefix``, and whether ``python`` looks there by itself."""
    code = "import sys; print('\\n'.join(sys.path))"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    for folder in done.stdout.splitlines():
        if folder.startswith(f"{prefix}/lib/") and folder.endswith(("/dist-packages", "/site-packages")):
            return folder, True
    return f"{prefix}/lib/vmgr", False


class Layout(SchemeDictionaryDestination):
    """A wheel's files at their places below a prefix, with the files that no wheel has."""

    def __init__(self, prefix: str, python: str, destdir: str) -> None:
        folder, self.found = module_folder(prefix, python)
        self.prefix, self.python, self.modules = prefix, python, folder
        scheme = {"purelib": folder, "platlib": folder, "scripts": f"{prefix}/bin", "data": prefix}
        super().__init__(
            {**scheme, "headers": f"{prefix}/include"},
            interpreter=python,
            script_kind="posix",
            destdir=destdir or None,
            overwrite_existing=True,
        )

    def write_script(self, name: str, module: str, attr: str, section: str) -> RecordEntry:
        """Write the launcher of this package instead of one that any environment variable changes."""
        path = "" if self.found else f"\nsys.path.insert(0, {self.modules!r})"
        text = LAUNCHER.format(python=self.python, path=path)
        return self._put("scripts", name, text.encode(), executable=True)

    def finalize_installation(
        self, scheme: Any, record_file_path: str, records: Iterable[tuple[Any, RecordEntry]]
    ) -> None:
        """Add what is not in the wheel, then write the record of all."""
        added = [("data", self._put("data", place, data)) for place, data in extra_files(self.prefix)]
        super().finalize_installation(scheme, record_file_path, [*records, *added])

    def _put(self, scheme: Any, place: str, data: bytes, executable: bool = False) -> RecordEntry:
        return self.write_file(scheme, place, io.BytesIO(data), executable)


def extra_files(prefix: str) -> Iterator[tuple[str, bytes]]:
    """Completions and system files: (place below the prefix, content)."""
    from click.shell_completion import ShellComplete, get_completion_class

    from vmgr.cli.group import cli

    for shell, place in COMPLETIONS.items():
        kind = get_completion_class(shell)
        assert kind is not None
        # The base class's, because bash's own looks for a bash on this machine.
        text = ShellComplete.source(kind(cli, {}, "vmgr", "_VMGR_COMPLETE"))
        yield place, text.encode() + b"\n"
    for name, place in SYSTEM.items():
        yield place, (PACKAGING / name).read_bytes().replace(b"@BINDIR@", f"{prefix}/bin".encode())


def lay_down(prefix: str, python: str, destdir: str) -> Layout:
    """Build the wheel and put everything below ``destdir`` + ``prefix``."""
    layout = Layout(prefix, python, destdir)
    os.chdir(ROOT)
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder, build_wheel(folder))
        for record in records_of_vmgr(
            layout.modules, destdir
        ):  # an older version may have files that this one has not
            remove_recorded(record, destdir + prefix)
        with WheelFile.open(wheel) as source:
            install(source=source, destination=layout, additional_metadata={"INSTALLER": b"make install\n"})
    return layout


def records_of_vmgr(modules: str, destdir: str) -> list[Path]:
    """The records of installations in a folder of modules."""
    return sorted(Path(f"{destdir}{modules}").glob("vmgr-*.dist-info/RECORD"))


def remove_recorded(record: Path, top: str) -> None:
    """Remove what ``record`` lists below ``top``, bytecode made of it, and folders that are empty then."""
    folder, limit = record.parents[1], Path(os.path.normpath(top))
    parents = set()
    for line in record.read_text().splitlines():
        file = Path(os.path.normpath(folder / line.split(",")[0]))
        if not file.is_relative_to(limit):
            print(f"leaving {file}: it is not below {limit}", file=sys.stderr)
            continue
        file.unlink(missing_ok=True)
        for cached in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            cached.unlink()
            parents.add(cached.parent)
        parents.update(parent for parent in file.parents if parent != limit and parent.is_relative_to(limit))
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()


def take_away(prefix: str, python: str, destdir: str) -> int:
    """Remove what an earlier installation laid down."""
    records = records_of_vmgr(module_folder(prefix, python)[0], destdir)
    if not records:
        print(f"vmgr is not installed below {destdir}{prefix}", file=sys.stderr)
        return 1
    for record in records:
        remove_recorded(record, destdir + prefix)
    print(f"Removed vmgr from {destdir}{prefix}")
    return 0


def advise(layout: Layout) -> None:
    """Compile what was installed here, and say what is still missing for it to run."""
    python = layout.python
    subprocess.run([python, "-I", "-m", "compileall", "-q", f"{layout.modules}/vmgr"], check=False)
    packages = {
        "attr": "python3-attr",
        "click": "python3-click",
        "pluggy": "python3-pluggy",
        "pyudev": "python3-pyudev",
    }
    code = "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m) is None])"
    done = subprocess.run([python, "-I", "-c", code, *packages], capture_output=True, text=True, check=True)
    if missing := done.stdout.split():
        print(f"Still needed for {python}: apt-get install {' '.join(packages[name] for name in missing)}")
    if layout.prefix not in ("/usr", "/usr/local"):
        print(f"systemd, udev and man do not look below {layout.prefix} by themselves")


def told(layout: Layout, destdir: str) -> str:
    """What was laid down, by kind, and what takes it away again."""
    top = Path(f"{destdir}{layout.prefix}")
    (record,) = records_of_vmgr(layout.modules, destdir)
    places = [os.path.normpath(record.parents[1] / line.split(",")[0]) for line in record.read_text().splitlines()]
    inside = [Path(place).relative_to(top).as_posix() for place in places if Path(place).is_relative_to(top)]
    pages = [place for place in inside if place.startswith("share/man/")]
    lines = [
        f"Installed vmgr below {top}, for {layout.python}:",
        f"  program      {top}/bin/vmgr",
        f"  modules      {destdir}{layout.modules}/vmgr",
        f"  man pages    {len(pages)} in {top}/share/man",
        *(f"  completion   {top}/{place} ({shell})" for shell, place in COMPLETIONS.items() if place in inside),
        *(f"  system       {top}/{place}" for place in SYSTEM.values() if place in inside),
    ]
    undo = ["make", "uninstall"]
    undo += [f"PREFIX={layout.prefix}"] if layout.prefix != "/usr/local" else []
    undo += [f"DESTDIR={destdir}"] if destdir else []
    return "\n".join([*lines, f"Take it away with: {shlex.join(undo)}"])


def main() -> int:
    """Run ``install`` or ``uninstall``."""
    parser = argparse.ArgumentParser(description="Install vmgr below a prefix, or remove it.")
    parser.add_argument("what", choices=["install", "uninstall"])
    parser.add_argument("--prefix", default="/usr/local")
    parser.add_argument("--destdir", default="")
    parser.add_argument("--python", default="/usr/bin/python3", help="the interpreter that shall run vmgr")
    options = parser.parse_args()
    prefix = options.prefix.rstrip("/") or "/usr"
    if not prefix.startswith("/"):
        parser.error(f"PREFIX {prefix} is not an absolute path")
    destdir = os.path.abspath(options.destdir) if options.destdir else ""
    try:
        if options.what == "uninstall":
            return take_away(prefix, options.python, destdir)
        layout = lay_down(prefix, options.python, destdir)
        print(told(layout, destdir))
        if not destdir:
            advise(layout)
    except OSError as error:
        print(f"make {options.what}: {error.filename or destdir + prefix}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
