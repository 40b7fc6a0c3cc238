"""A stranger's target ``odd``, which keeps to the contract, and the same with one fault each."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from vmgr.core.exchange import Built, Need, SpaceNeeds
from vmgr.core.hooks import (
    API_VERSION,
    PLAIN_ROLE,
    ColumnSpec,
    KernelTarget,
    OptionSpec,
    TargetInfo,
    TargetSpec,
    VolumeFacts,
    hookimpl,
)
from vmgr.core.model import PvArea, Segment, SegmentBody
from vmgr.core.requests import CreateVolume, ExtendVolume
from vmgr.core.table import PvRef, TargetLine


@frozen
class OddBody(SegmentBody):
    """A segment on one area."""

    areas: tuple[PvArea, ...]


INFO = TargetInfo(
    "odd",
    "a stranger's target",
    ("odd",),
    frozenset(("oddity",)),
    (OddBody,),
    (KernelTarget("linear"),),
    types=("odd",),
    columns=(ColumnSpec("oddity", "Odd", "number", "How odd it is."),),
)


class Odd:
    """Volumes on plain space, with a table of their own."""

    @hookimpl
    def target_info(self):
        return INFO

    @hookimpl
    def decode_segment(self, length, fields, names):
        name, start = fields["oddity"]
        return OddBody((names.area(name, start, length),))

    @hookimpl
    def encode_segment(self, body, names):
        (area,) = body.areas
        return "odd", (("oddity", (names.area_name(area), int(area.start))),)

    @hookimpl
    def change(self, request, ctx):
        if not isinstance(request, CreateVolume | ExtendVolume):
            return None
        placed = ctx.place(lambda extents: SpaceNeeds(extents, (Need(PLAIN_ROLE, 1, extents),)))
        segments, start = list(ctx.volume.segments), ctx.volume.size
        for run in placed.grant[PLAIN_ROLE]:
            segments.append(Segment(start, run.extents, OddBody(run.areas)))
            start += run.extents
        return Built((evolve(ctx.volume, segments=tuple(segments)),), (ctx.volume.id,), notes=placed.notes)

    @hookimpl
    def segment_lines(self, group, segment):
        size = group.extent_size
        (area,) = segment.body.areas
        offset = group.pv_by_id[area.pv].pe_start + area.start.sectors(size)
        start, length = segment.start.sectors(size), segment.length.sectors(size)
        return (TargetLine(start, length, "linear", (PvRef(area.pv), str(offset))),)

    @hookimpl
    def describe(self):
        return VolumeFacts("odd", values=(("oddity", 7),))


HOOKS = tuple(sorted(name for name in vars(TargetSpec) if not name.startswith("_")))


def declaring(**changes: object) -> object:
    """The target with another declaration."""
    return _with("target_info", lambda self: evolve(INFO, **changes))


def _with(hook: str, function: Any) -> object:
    return type("Broken", (Odd,), {hook: hookimpl(function)})()


def raising(hook: str) -> object:
    """The target with a hook that fails."""

    def fail(self):
        raise KeyError("a fault of the plugin")

    return _with(hook, fail)


def returning(hook: str, value: object) -> object:
    """The target with a hook that gives a certain value."""
    return _with(hook, lambda self: value)


def leaving(hook: str) -> object:
    """The target with a hook that would end the program."""

    def leave(self):
        raise SystemExit(0)

    return _with(hook, leave)


def without(hook: str) -> object:
    """The target without a hook that it needs."""
    return type("Lacking", (), {name: value for name, value in vars(Odd).items() if name != hook})()


def encoding(*fields: tuple[str, object], forgets: bool = False) -> object:
    """The target with these fields more in its text; ``forgets``: what is read is one extent further on."""

    class Other(Odd):
        @hookimpl
        def encode_segment(self, body, names):
            word, known = Odd.encode_segment(self, body, names)
            return word, (*known, *fields)

        @hookimpl
        def decode_segment(self, length, fields, names):
            name, start = fields["oddity"]
            return OddBody((names.area(name, start + forgets, length),))

    return Other()


def making(*status: str) -> object:
    """The target with words more in the status of what it makes."""

    class Other(Odd):
        @hookimpl
        def change(self, request, ctx):
            volume = evolve(ctx.volume, status=(*ctx.volume.status, *status))
            return Odd.change(self, request, evolve(ctx, volume=volume))

    return Other()


WRITING = {
    "a field that it does not declare": (encoding(("odder", 1)), "the field 'odder', which it does not declare"),
    "a field twice": (encoding(("oddity", 1)), "the field 'oddity' twice"),
    "a field of the core's": (encoding(("start_extent", 1)), "the field 'start_extent', which it does not declare"),
    "what it reads otherwise": (encoding(forgets=True), "of volume strange OddBody.areas was written as"),
    "a word that nobody knows": (making("ODD"), "volume strange has the word 'ODD' in its status"),
    "what it cannot read": (returning("decode_segment", None), "OddBody was written, and UnknownBody is read"),
}
"""Plugins whose text must not be written, and what is said of them."""


def claiming_all() -> object:
    """The target as one that takes the segments of plain volumes for its own."""

    class Greedy(Odd):
        @hookimpl
        def target_info(self):
            return evolve(INFO, segment_types=("odd", "striped"))

        @hookimpl
        def decode_segment(self, length, fields, names):
            name, start = fields.get("oddity") or fields["stripes"]
            return OddBody((names.area(name, start, length),))

    return Greedy()


UNUSABLE = {
    "another version": declaring(api_version=API_VERSION + 1),
    "a misspelt hook": _with("segment_line", lambda self: ()),
    "a lacking hook": without("encode_segment"),
    "an argument that the hook has not": _with("describe", lambda self, volum: None),
    "a declaration that fails": raising("target_info"),
    "a declaration that ends the program": leaving("target_info"),
    "a declaration that is none": returning("target_info", {"name": "odd"}),
    "a declaration of lists": declaring(types=["odd"]),
    "the name of vmgr's own": declaring(name="linear"),
    "the type of vmgr's own": declaring(types=("odd", "snapshot")),
    "an option of vmgr's own, otherwise": declaring(
        options=(OptionSpec("stripes", "word", "", ("lvcreate",), short="i"),)
    ),
    "a letter of vmgr's own, otherwise": declaring(
        options=(OptionSpec("odds", "number", "", ("lvcreate",), short="i"),)
    ),
    "a column of vmgr's own, otherwise": declaring(columns=(ColumnSpec("origin", "O", "number", ""),)),
}
"""Plugins that cannot be used at all, by what is wrong with them."""

FAILING = {
    **{f"{hook} fails": raising(hook) for hook in HOOKS if hook != "target_info"},
    **{f"{hook} ends the program": leaving(hook) for hook in ("decode_segment", "describe")},
    **{f"{hook} gives another type": returning(hook, object()) for hook in HOOKS if hook != "target_info"},
    "describe has a value in no column of its own": returning(
        "describe", VolumeFacts("odd", values=(("oddness", 7),))
    ),
    "describe has a value of another kind": returning("describe", VolumeFacts("odd", values=(("oddity", "7"),))),
    "it declares an option that the command has itself": declaring(
        options=(OptionSpec("size", "number", "", ("lvcreate",)),)
    ),
    "it declares an option of an unknown kind": declaring(
        options=(OptionSpec("odd", "oddity", "", ("lvcreate",)),)
    ),
    "it declares a column of LVM2's as another kind": declaring(
        columns=(ColumnSpec("raid_sync_action", "Odd", "number", "How odd it is."),)
    ),
    "describe has letters that are no text": returning("describe", VolumeFacts("odd", kind=7)),  # type: ignore[arg-type]
    "it claims vmgr's own segments": claiming_all(),
}
"""Plugins that can be registered and break the contract later, by what is wrong with them."""
