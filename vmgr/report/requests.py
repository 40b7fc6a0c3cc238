"""The requests for reports and displays, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class ReportRequest(NamedTuple):
    """The request for a report. (A named tuple, because loading an attrs class takes half a millisecond.)

    ``kind``: ``lvs``, ``vgs`` or ``pvs``. ``columns`` are the arguments of each ``-o`` as given
    (``lv_name,size``, ``+devices``, ``-lv_attr``, ``#...``), in order. ``sort`` is that of ``-O``, None for
    the default order. ``select`` is the text of ``-S``. ``only`` limits the report to these UUIDs: of volumes
    for ``lvs`` (hidden ones that are in it are shown without ``all``; as copied groups have the same volumes,
    a group's UUID may stand before a volume's), of groups for ``vgs``, of PVs for ``pvs``; None means
    everything. ``units`` is the argument of ``--units``, ``suffix`` whether unit letters are shown.
    ``format``: ``basic``, ``json`` or ``json_std``. A ``separator`` turns alignment off unless ``aligned``
    says otherwise. ``buffered`` False prints each row by itself, unsorted. ``headings``: 0 none, 1
    abbreviated, 2 full column names. ``settings`` are those of lvm.conf's ``report`` section that are not the
    default, by their name in it (``lvs_cols``, ``pvs_sort``, ``list_item_separator``, ``compact_output``,
    ``time_format``, ``mark_hidden_devices``...). ``dev_dir`` is where paths begin (``DM_DEV_DIR``). ``now``
    is the present, in seconds since 1970, for selections such as ``lv_time since yesterday``; without it they
    are refused.
    """

    kind: str
    columns: tuple[str, ...] = ()
    sort: str | None = None
    select: str = ""
    only: frozenset[str] | None = None
    all: bool = False
    segments: bool = False
    verbose: int = 0
    units: str = "r"
    suffix: bool = True
    format: str = "basic"
    separator: str | None = None
    aligned: bool | None = None
    buffered: bool = True
    headings: int = 1
    nameprefixes: bool = False
    quoted: bool = True
    rows: bool = False
    binary: bool = False
    settings: Mapping[str, str | int] = {}
    dev_dir: str = "/dev"
    now: int | None = None
    si_units: bool = True


class DisplayRequest(NamedTuple):
    """The request for ``pvdisplay``, ``vgdisplay`` or ``lvdisplay``, or for a scan.

    ``kind``: ``pv``, ``vg`` or ``lv``. ``style``: ``long``, ``colon`` (``-c``) or ``short`` (``-s``).
    ``maps`` is ``-m``. ``active`` leaves out groups without an active volume (``-A``). ``uuid`` is ``pvscan
    -u``. The others are as in :class:`ReportRequest`. (``-C`` is the report of the same kind.)
    """

    kind: str
    style: str = "long"
    maps: bool = False
    only: frozenset[str] | None = None
    all: bool = False
    verbose: int = 0
    select: str = ""
    units: str = "r"
    suffix: bool = True
    dev_dir: str = "/dev"
    now: int | None = None
    active: bool = False
    uuid: bool = False
    si_units: bool = True
    full_path: bool = False
