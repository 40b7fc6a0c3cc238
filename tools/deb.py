"""Builds the Debian package, as ``make deb`` asks for it: the same files as ``make install``, and what dpkg needs.

No debhelper: the build then needs nothing but dpkg-deb, and works offline once the environment is there.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from install import PACKAGING, ROOT, lay_down

PYTHON = "/usr/bin/python3"


def version() -> str:
    """The version in ``pyproject.toml``."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def compress(path: Path) -> None:
    """Replace a file by its gzipped form, the same for the same content."""
    Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    path.unlink()


def debian_changelog() -> str:
    """The packaging's own changelog: one entry, for the version that is built."""
    date = datetime.fromtimestamp(epoch(), UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    (maintainer,) = re.findall(r"(?m)^Maintainer: (.*)$", (PACKAGING / "deb/control").read_text())
    text = f"  * Version {version()}; see changelog.gz for what is in it."
    return f"vmgr ({version()}-1) unstable; urgency=medium\n\n{text}\n\n -- {maintainer}  {date}\n"


def add_documents(root: Path) -> None:
    """Licence, changelog, documentation, and manual pages as Debian has them."""
    folder = root / "usr/share/doc/vmgr"
    folder.mkdir(parents=True)
    shutil.copyfile(PACKAGING / "deb/copyright", folder / "copyright")
    shutil.copyfile(ROOT / "CHANGELOG.md", folder / "changelog")
    compress(folder / "changelog")
    (folder / "changelog.Debian").write_text(debian_changelog())
    compress(folder / "changelog.Debian")
    shutil.copyfile(ROOT / "README.md", folder / "README.md")
    shutil.copytree(ROOT / "docs", folder / "docs")  # where README.md says that they are
    for page in (root / "usr/share/man").glob("man*/*"):
        compress(page)


def settle_files(root: Path) -> None:
    """Places and files that Debian has otherwise than a prefix of one's own."""
    site = root / "usr/share/zsh/site-functions/_vmgr"
    vendor = root / "usr/share/zsh/vendor-completions/_vmgr"
    vendor.parent.mkdir(parents=True)
    site.rename(vendor)
    site.parent.rmdir()
    for info in (root / "usr/lib/python3/dist-packages").glob("vmgr-*.dist-info"):
        (info / "RECORD").unlink()  # dpkg has the record
        shutil.rmtree(info / "licenses", ignore_errors=True)


def add_control(root: Path) -> None:
    """The DEBIAN folder."""
    folder = root / "DEBIAN"
    files = sorted(path for path in root.rglob("*") if path.is_file())
    size = sum(-(-path.stat().st_size // 1024) for path in files) + sum(
        1 for path in root.rglob("*") if path.is_dir()
    )
    folder.mkdir()
    control = (PACKAGING / "deb/control").read_text()
    (folder / "control").write_text(control.replace("@VERSION@", version()).replace("@SIZE@", str(size)))
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in files]
    (folder / "md5sums").write_text("".join(sums))
    for name in ("postinst", "prerm", "postrm"):
        shutil.copyfile(PACKAGING / "deb" / name, folder / name)
        (folder / name).chmod(0o755)


def build(target: Path) -> Path:
    """Build the package in the folder ``target``; its path."""
    target.mkdir(parents=True, exist_ok=True)
    package = target / f"vmgr_{version()}-1_all.deb"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        root.mkdir(mode=0o755)
        layout = lay_down("/usr", PYTHON, str(root))
        if not layout.modules == "/usr/lib/python3/dist-packages":
            raise SystemExit(
                f"make deb: {PYTHON} is not Debian's: it does not look in /usr/lib/python3/dist-packages"
            )
        settle_files(root)
        add_documents(root)
        add_control(root)
        for path in root.rglob("*"):
            os.utime(path, (epoch(), epoch()))
        command = ["dpkg-deb", "--build", "--root-owner-group", "-Zxz", str(root), str(package)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch())}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise SystemExit(f"make deb: {re.sub('^dpkg-deb: ', '', done.stderr.strip())}")
    return package


def epoch() -> int:
    """The time that every file gets: of the last commit, so that the same commit gives the same package."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return int((ROOT / "pyproject.toml").stat().st_mtime)


if __name__ == "__main__":
    if shutil.which("dpkg-deb") is None:
        sys.exit("make deb: dpkg-deb is not installed; it is part of Debian and Ubuntu (package dpkg)")
    print(build(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "dist"))
