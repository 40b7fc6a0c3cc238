"""Which devices the entries of a devices file stand for, by the physical volumes on them.

A WWID or a serial number goes with the disk; a name does not. So an entry that has only a name (``IDTYPE=devname``)
stands for the device of that name while its PV is on it. Where it is not, the PV is looked for on other devices, as
``devices/search_for_devnames`` says: on those that have nothing better than a name either (``auto``), on all, or
nowhere. What has moved is noted in :attr:`Listed.fixes`, for the file. Source: ``device_ids_validate`` and
``device_ids_search`` in LVM2's ``lib/device/device_id.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.system.devicesfile import Entry, best_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vmgr.system.devices import Device, Number
    from vmgr.system.devicesfile import DevicesFile

    Labels = Callable[[Sequence[Device]], Mapping[Device, str]]
    """Reads devices: the UUID of the physical volume on each, empty for none; without those that cannot be read."""


class Listed:
    """What the file allows. ``numbers`` are the devices, ``problems`` sentences, ``fixes`` (old entry, new one)."""

    def __init__(
        self,
        file: DevicesFile,
        devices: Sequence[Device],
        *,
        refusal: Callable[[Device], str],
        labels: Labels,
        search: str,
    ) -> None:
        """``refusal`` tells why a device is not used whatever the file says; ``search`` is the setting."""
        self.numbers: set[Number] = set()
        self.problems: list[str] = []
        self.fixes: list[tuple[Entry, Entry]] = []
        self._file = file
        self._by_entry: dict[int, Device] = {}
        for device in devices:
            entry = file.entry_of(device)
            if entry is not None and id(entry) not in self._by_entry:
                self._by_entry[id(entry)] = device
                self.numbers.add(device.number)
        named = [e for e in file.entries if e.idtype == "devname" and e.pvid]
        held = {id(e): self._by_entry[id(e)] for e in named if id(e) in self._by_entry}
        known = dict(labels([device for device in held.values() if not refusal(device)]))
        for entry in named:
            at_name = held.get(id(entry))
            if at_name is not None and known.get(at_name, entry.pvid) != entry.pvid:
                del self._by_entry[id(entry)]
                self.numbers.discard(at_name.number)
        lost = [e for e in file.entries if e.pvid and id(e) not in self._by_entry]
        wanted = {e.pvid for e in lost if e.idtype == "devname"} if search != "none" else set()
        found: dict[str, list[Device]] = {}
        if wanted:
            others = [
                d for d in devices
                if d.number not in self.numbers and not refusal(d) and not (search == "auto" and _lasting(d))
            ]  # fmt: skip
            known |= labels([device for device in others if device not in known])
            for device in others:
                found.setdefault(known.get(device, ""), []).append(device)
        for entry in lost:
            self._settle(entry, found.get(entry.pvid, []) if entry.pvid in wanted else [])

    def _settle(self, entry: Entry, places: list[Device]) -> None:
        """An entry whose device is not there or not its own, and the devices that have its physical volume."""
        if len(places) == 1:
            (device,) = places
            new = Entry("devname", device.path, device.path, entry.pvid, device.partition_number)
            self.numbers.add(device.number)
            self.fixes.append((entry, new))
            self._file.entries[self._file.entries.index(entry)] = new
            self._by_entry[id(new)] = device
            self.problems.append(
                f"devices file PVID {entry.pvid} not found on device {entry.idname or entry.devname}, found on"
                f" {device.path}: updating IDNAME to that"
            )
            return
        if places:
            self.problems.append(
                f"PVID {entry.pvid} of the devices file is on several devices, none of which is used:"
                f" {', '.join(device.path for device in places)} (lvmdevices --adddev selects one)"
            )
            return
        where = entry.devname or "no device"
        self.problems.append(
            f"devices file {entry.idtype} {entry.idname} PVID {entry.pvid} last seen on {where}"
            " not found (connect the device; lvmdevices --deldev takes the entry out)"
        )

    def compare(self, pvs: Mapping[Device, str], read: Callable[[Device], bool]) -> None:
        """Note what entries with a lasting ID say otherwise than their devices, which have been read by now.

        ``pvs`` has the physical volumes by device; ``read`` tells whether a device could be read.
        """
        for entry in list(self._file.entries):
            device = self._by_entry.get(id(entry))
            if device is None or entry.idtype == "devname" or not read(device):
                continue
            pvid = pvs.get(device, "")
            if pvid != entry.pvid:
                if entry.idtype == "sys_serial" and entry.pvid:
                    continue  # serial numbers are not always unique: that may be the wrong device
                said = f"has PVID {pvid}" if pvid else "has no PVID"
                self.problems.append(f"device {device.path} {said} (devices file {entry.pvid or 'none'})")
            if (pvid, device.path) != (entry.pvid, entry.devname):
                new = Entry(entry.idtype, entry.idname, device.path, pvid, entry.part)
                self.fixes.append((entry, new))
                self._file.entries[self._file.entries.index(entry)] = new
                self._by_entry[id(new)] = device


def _lasting(device: Device) -> bool:
    """Whether the device would be entered by something better than its name."""
    return best_id(device)[0] != "devname"
