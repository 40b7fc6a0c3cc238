"""The beginning of a target plugin: a package that is found, makes volumes, and passes its checks."""

from __future__ import annotations

import re
from pathlib import Path

from vmgr.core.errors import AlreadyExists, InvalidName, NotPermitted

PROJECT = """[build-system]
requires = ["hatchling>=1.18"]
build-backend = "hatchling.build"

[project]
name = "vmgr-@NAME@"
version = "0.1.0"
description = "A target plugin for vmgr"
requires-python = ">=3.11"
dependencies = ["attrs>=22.2", "vmgr>=0.1"]

[project.optional-dependencies]
test = ["vmgr[testing]"]

[project.entry-points."vmgr.targets"]
@NAME@ = "@MODULE@"

[tool.hatch.build.targets.wheel]
packages = ["src/@MODULE@"]
"""

README = """# vmgr-@NAME@

A target plugin for vmgr. `pip install -e '.[test]'` makes it known, `vmgr plugins --check @NAME@` and `pytest` try
it, and `vmgr lvcreate --type @NAME@ -L 1G GROUP` makes a volume. vmgr-plugins(7) explains each hook.
"""

TEST = '''"""The plugin keeps to the contract."""

from vmgr.registry import load_targets
from vmgr.testing.checks import FAILED, Sample, check_plugin


def test_it_keeps_to_the_contract():
    results = check_plugin(load_targets(), "@NAME@", [Sample("@NAME@")])
    assert [result for result in results if result.outcome == FAILED] == []
'''

PLUGIN = '''"""A target plugin for vmgr.

What is here makes plain volumes with the kernel's target linear: change it.
"""

from __future__ import annotations

from attrs import evolve, frozen
from vmgr.plugin import (
    DamagedMetadata,
    KernelTarget,
    PvArea,
    SegmentBody,
    TargetInfo,
    VolumeFacts,
    hookimpl,
)


@frozen
class @CLASS@Body(SegmentBody):
    """What a segment consists of: the space that it lies on."""

    areas: tuple[PvArea, ...]

    def with_areas(self, areas):
        """The same on other space."""
        return evolve(self, areas=areas)


@hookimpl
def target_info():
    """What the plugin is."""
    return TargetInfo(
        name="@NAME@",
        summary="what it is, in a line",
        segment_types=("@NAME@",),
        fields=frozenset(("area",)),
        bodies=(@CLASS@Body,),
        kernel_targets=(KernelTarget("linear"),),
        types=("@NAME@",),
        manual="What users should know, in paragraphs.",
    )


# What is stored


@hookimpl
def decode_segment(length, fields, names):
    """A section of the metadata text, as a body."""
    match fields:
        case {"area": (str(name), int(start))}:
            return @CLASS@Body((names.area(name, start, length),))
    raise DamagedMetadata("a @NAME@ segment needs 'area'")


@hookimpl
def encode_segment(body, names):
    """A body as a section: its type word and its fields."""
    (area,) = body.areas
    return "@NAME@", (("area", (names.area_name(area), int(area.start))),)


# What a request makes


@hookimpl
def change(request, ctx):
    """Carry out a request. None: the core does what it knows how to do."""
    from vmgr.plugin import PLAIN_ROLE, Built, CreateVolume, ExtendVolume, Need, Segment, SpaceNeeds

    if not isinstance(request, CreateVolume | ExtendVolume):
        return None
    volume = ctx.volume
    placed = ctx.place(lambda extents: SpaceNeeds(extents, (Need(PLAIN_ROLE, 1, extents),)))
    segments, start = list(volume.segments), volume.size
    for run in placed.grant[PLAIN_ROLE]:
        segments.append(Segment(start, run.extents, @CLASS@Body(run.areas)))
        start += run.extents
    return Built((evolve(volume, segments=tuple(segments)),), (volume.id,), notes=placed.notes)


@hookimpl
def cut_segment(segment, start, length):
    """A part of a segment, so that volumes can be made shorter."""
    (area,) = segment.body.areas
    return @CLASS@Body((PvArea(area.pv, area.start + start, length),))


# What the kernel gets, and what reports say


@hookimpl
def segment_lines(group, segment):
    """The table lines of a segment, in sectors of the volume."""
    from vmgr.plugin import PvRef, TargetLine

    size = group.extent_size
    (area,) = segment.body.areas
    offset = group.pv_by_id[area.pv].pe_start + area.start.sectors(size)
    start, length = segment.start.sectors(size), segment.length.sectors(size)
    return (TargetLine(start, length, "linear", (PvRef(area.pv), str(offset))),)


@hookimpl
def describe():
    """What lvs shows."""
    return VolumeFacts("@NAME@")
'''


def files(name: str) -> dict[str, str]:
    """The package's files, by path. Raises :class:`InvalidName` for a name that no package or type may have."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise InvalidName(
            f"{name!r} cannot be a plugin's name", hint="use small letters, digits and single hyphens: my-target"
        )
    module = f"vmgr_{name.replace('-', '_')}"
    words = {"@NAME@": name, "@MODULE@": module, "@CLASS@": "".join(map(str.capitalize, name.split("-")))}
    texts = {
        "pyproject.toml": PROJECT,
        "README.md": README,
        f"src/{module}/__init__.py": PLUGIN,
        f"tests/test_{module}.py": TEST,
    }
    for mark, word in words.items():
        texts = {path: text.replace(mark, word) for path, text in texts.items()}
    return texts


def make(name: str, folder: Path) -> Path:
    """Write the package into a new folder ``vmgr-NAME`` in ``folder``; the new folder.

    Raises :class:`InvalidName`, :class:`AlreadyExists` and :class:`NotPermitted`.
    """
    texts = files(name)
    place = folder / f"vmgr-{name}"
    try:
        place.mkdir()
        for path, text in texts.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(text, "utf-8")
    except FileExistsError as error:
        raise AlreadyExists(f"{place} exists", hint="remove it, or take another name") from error
    except OSError as error:
        raise NotPermitted(f"cannot make {place}: {error.strerror}") from error
    return place
