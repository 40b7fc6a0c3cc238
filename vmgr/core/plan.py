"""From a change to steps: pure, and the only place that decides their order.

``plan_change(change, live, targets)`` compares the devices that the active volumes have with those that
they shall have, and puts the steps into the order that survives a power cut at any of them:

1. the archive; labels of new physical volumes; zeroing of headers in space that was free;
2. devices that go and that no reloaded device is connected with are removed: from here on they
   are only inactive, and the metadata still describes them; new volumes that are to be wiped are
   made, on space that is free until the commit, and wiped, seen by nobody: if they cannot be, or
   the user wants to keep what is on them, there is no volume; programs are run;
3. the text is written beside the old one, and named in the precommit slot;
4. new devices below a live one are made, and the tables of live ones are loaded beside the old;
5. live devices are suspended, from the top down; nothing touches a disk but the commit;
6. the commit: one sector for each metadata area;
7. live devices are resumed with their new tables, from the bottom up, and new ones among them;
8. messages are sent to targets; other new devices are made; wiped volumes are shown;
9. devices that go and hung together with reloaded ones are removed; last is what waits for a state of a device.

Everything before 6 can be undone and is, if a step fails; everything after it is rolled forward.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from vmgr.core.devicerules import NO_RULES, DeviceRules
from vmgr.core.devices import own_uuid, stack, together
from vmgr.core.errors import InUse
from vmgr.core.inuse import refuse_open
from vmgr.core.naming import split_dm_uuid
from vmgr.core.phases import Plan
from vmgr.core.running import understood
from vmgr.core.steps import (
    Archive,
    Backup,
    ClearOutdated,
    Commit,
    CreateDevice,
    ImportGroup,
    LoadTable,
    MarkPvs,
    Precommit,
    RemoveDevice,
    RemoveText,
    RenameDevice,
    Resume,
    SendMessage,
    ShowVolume,
    Suspend,
    WipeLabel,
    WipeVolume,
    WriteLabel,
    WriteText,
    ZeroSectors,
)
from vmgr.core.transaction import exported

if TYPE_CHECKING:
    from vmgr.core.change import Change
    from vmgr.core.exchange import TargetMessage
    from vmgr.core.hooks import Live
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.step import Step
    from vmgr.core.table import DmDevice, LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.tool_steps import RunTool, WaitFor

# -- which volumes are active ---------------------------------------------------------------------


def is_active(group: VolumeGroup, volume: LogicalVolume, live: Live) -> bool:
    """Whether the kernel has the volume's own device."""
    return own_uuid(group, volume) in live


def active_volumes(group: VolumeGroup | None, live: Live) -> tuple[Uuid, ...]:
    """Visible volumes that are active and that vmgr can handle."""
    if group is None or not live:
        return ()
    return tuple(lv.id for lv in group.lvs if lv.visible and is_active(group, lv, live) and understood(group, lv))


def require_running(device: LiveDevice) -> None:
    """Raise :class:`InUse` if a device is suspended that would have to be resumed, or read."""
    if device.suspended:
        raise InUse(
            f"device {device.name} is suspended, and this change would resume it",
            hint="whoever suspended it may rely on that; to resume it: lvchange --refresh",
        )


# -- the planner ----------------------------------------------------------------------------------


def plan_change(change: Change, live: Live, targets: Targets, rules: DeviceRules = NO_RULES) -> Plan:
    """The steps that carry out ``change`` on a machine whose kernel has ``live``; devices follow ``rules``.

    The group in ``change.after`` must carry its new ``seqno``. Raises :class:`InUse` when a device that would
    have to go is open.
    """
    if change.takedown:
        from vmgr.core.takedown import plan_takedown

        return plan_takedown(change, live)
    before, after = change.before, change.after
    metadata: list[Step] = []
    commit: list[Step] = []
    after_commit: list[Step] = []
    # Where the archive has no room, nothing at all is written.
    first: list[Step] = [Archive(before)] if before is not None and change.changes_metadata else []
    first.extend(WriteLabel(label) for label in change.labels)
    if after is not None:
        first.extend(ZeroSectors(after, z) for z in change.zero)
    if change.changes_metadata:
        kept = set(change.handed_over)
        if after is not None:
            text = exported(after) if change.taken_from else after
            metadata = [WriteText(text), Precommit(text)]
            commit = [Commit(text, change.taken)]
            kept |= after.pv_by_id.keys()
            if change.taken_from:
                after_commit.append(ImportGroup(after, change.taken_from))
        if before is not None:
            leaving = tuple(pv.id for pv in before.pvs if pv.id not in kept and pv.id not in change.absent)
            # The label first: a PV that has a text is known by it, one that is only marked belongs to nobody.
            if leaving:
                unmark, remove = MarkPvs(before, leaving, used=False), RemoveText(before, leaving)
                if after is None:
                    metadata, commit = [unmark], [remove]
                else:
                    after_commit += [unmark, remove]
        if after is not None:
            known = set(before.pv_by_id) if before else set()
            joining = tuple(pv.id for pv in after.pvs if pv.id not in known or pv.id in change.relabel)
            if joining:
                after_commit.append(MarkPvs(after, joining, used=True))
        if after is not None:
            last: list[Step] = [Backup(after)]
            if before is not None and before.name != after.name:
                last.append(Backup(before, gone=True))
        else:
            assert before is not None
            last = [Backup(before, gone=True)]
    else:
        last = []
    clear: list[Step] = [ClearOutdated(before, change.outdated)] if before is not None and change.outdated else []
    last.extend(WipeLabel(device) for device in change.unlabel)

    d = _DevicePlan(change, live, targets, rules)
    tools, waits = _tools_and_waits(change, live, targets, rules)
    steps = [
        *first,
        *d.removed_before,
        *d.wiped,
        *tools,
        *metadata,
        *d.before_suspend,
        *clear,
        *d.suspends,
        *commit,
        *d.resumes,
        *after_commit,
        *d.renames,
        *d.messages,
        *d.made_after,
        *d.shown,
        *d.removed_after,
        *last,
        *waits,
    ]
    return Plan((change,), tuple(steps))


def _tools_and_waits(
    change: Change, live: Live, targets: Targets, rules: DeviceRules
) -> tuple[list[RunTool], list[WaitFor]]:
    """The steps that run programs, and those that wait for states of devices."""
    if not (change.tools or change.waits):
        return [], []
    from vmgr.core.tool_steps import tool_steps, wait_steps

    return list(tool_steps(change, live, targets, rules)), list(wait_steps(change, live, targets, rules))


def plan_together(plans: Sequence[Plan]) -> Plan:
    """One plan of those of several changes, in the order of their commits.

    All of them are prepared before the first is committed, and what follows a commit comes after the last.
    """
    if len(plans) == 1:
        return plans[0]
    each = [plan.phases for plan in plans]
    head = [step for phases in each for step in phases.head]
    steps = (
        *(step for step in head if isinstance(step, Archive)),
        *(step for step in head if not isinstance(step, Archive)),
        *(step for phases in reversed(each) for step in phases.suspends),
        *(step for phases in each for step in phases.commits),
        *(step for phases in each for step in phases.resumes),
        *(step for phases in each for step in phases.tail),
    )
    return Plan(tuple(change for plan in plans for change in plan.changes), steps)


class _DevicePlan:
    """The device steps of a change, in the groups that :func:`plan_change` puts around the commit."""

    def __init__(self, change: Change, live: Live, targets: Targets, rules: DeviceRules) -> None:
        self._live = live
        before, after = change.before, change.after
        was_active = active_volumes(before, live)
        old: dict[str, DmDevice] = {}
        if before and was_active:
            old = {d.uuid: rules.applied(before, d) for d in stack(before, was_active, targets, live)}
        goes = set(together(before, change.deactivate, targets)) if before and change.deactivate else set()
        wanted: tuple[Uuid, ...] = ()
        if after is not None:
            ids = after.lv_by_id
            wanted = tuple(lv for lv in (*was_active, *change.activate) if lv in ids and lv not in goes)
        start = (*change.start, *change.refresh)
        new: dict[str, DmDevice] = {}
        if after and wanted:
            new = {d.uuid: rules.applied(after, d) for d in stack(after, wanted, targets, live, start)}
        refreshed = (
            {d.uuid for d in stack(after, change.refresh, targets, live, start)}
            if after and change.refresh
            else set()
        )

        fresh = {u for u in new if u not in live}
        reload = {u for u in new if u not in fresh and (u in refreshed or self._differs(old.get(u), new[u]))}
        messages = _messages(after, new, targets) if after else {}
        # What uses a reloaded device from above stands still with it: I/O under way there would otherwise wait on
        # the suspended device below, and a freeze of the file system on top would never end. It gets its table
        # anew, too: so a device that a killed command left suspended is known by the table that waits in it.
        reload |= {u for u in new if u in live and u not in reload and reaches(u, reload, new)}
        self._refuse_held(reload - refreshed)
        gone = self._vanishing(change, live, old, new, goes, after)
        refuse_open(gone, live, change.before)

        connected = _connected(reload, [*old.values(), *new.values()])
        needed = {need for u in fresh | reload for need in new[u].needs()}
        wipes = {own_uuid(after, after.lv_by_id[w.lv]): w for w in change.wipe} if after else {}
        # What lies on a device that gets a message must not be loaded before the target has seen it.
        later = {u for u in fresh if messages and reaches(u, set(messages), new)}
        # What is wiped, with all below it, before the commit: a new volume must not keep old data by accident.
        early = _with_lower({u for u in wipes if u in fresh}, new) & fresh - connected - later

        order = list(new.values())
        self.removed_before: list[Step] = []
        self.removed_after: list[Step] = []
        self.before_suspend: list[Step] = []
        self.suspends: list[Step] = []
        self.resumes: list[Step] = []
        self.renames: list[Step] = []
        self.messages: list[Step] = []
        self.made_after: list[Step] = []
        self.wiped: list[Step] = []
        self.shown: list[Step] = []

        for uuid in _top_down(gone, old):
            device = old.get(uuid)
            step = RemoveDevice(uuid, live[uuid].name, device.link if device else None)
            (self.removed_after if uuid in connected else self.removed_before).append(step)

        for device in order:
            uuid = device.uuid
            sends = _sends(device, messages.get(uuid, ()), new, live)
            if uuid in fresh and uuid in connected and uuid not in later:
                self.before_suspend += [CreateDevice(device), LoadTable(device, fresh=True)]
                if uuid in needed and not device.exclusive:
                    self.before_suspend.append(Resume(device, fresh=True))
                else:
                    self.resumes.append(Resume(device, fresh=True))
            elif uuid in reload:
                if not device.fixed:
                    self.before_suspend.append(LoadTable(device, fresh=False))
                self.suspends.insert(0, Suspend(device))
                self.resumes.append(Resume(device, fresh=False))
            elif uuid in fresh:
                quiet = uuid in wipes
                made = self.wiped if uuid in early else self.made_after
                made += [
                    CreateDevice(device),
                    LoadTable(device, fresh=True),
                    Resume(device, fresh=True, quiet=quiet),
                ]
                if quiet:
                    made.append(WipeVolume(device, wipes[uuid]))
                    self.shown.append(ShowVolume(device))
                self.made_after += sends
                continue
            self.messages += sends
        for device in order:
            current = live.get(device.uuid)
            if current is not None and current.name != device.name:
                was = old.get(device.uuid)
                self.renames.append(RenameDevice(device, current.name, was.link if was else None))

    @staticmethod
    def _differs(old: DmDevice | None, new: DmDevice) -> bool:
        """Whether a live device needs its table loaded anew, or to be suspended for what it comes after."""
        if old is None:
            return True
        # A device that comes after a new one (an origin, a snapshot) must stand still while that appears.
        return (old.table, old.read_only, old.after) != (new.table, new.read_only, new.after)

    def _refuse_held(self, reload: set[str]) -> None:
        """A device that somebody suspended is resumed only when that is asked for: who did it may rely on it."""
        for uuid in sorted(reload):
            require_running(self._live[uuid])

    @staticmethod
    def _vanishing(
        change: Change,
        live: Live,
        old: Mapping[str, DmDevice],
        new: Mapping[str, DmDevice],
        goes: set[Uuid],
        after: VolumeGroup | None,
    ) -> set[str]:
        """Live devices that shall not be there afterwards.

        Those of volumes that are still active or unknown to vmgr stay, whatever they are.
        """
        gone = {u for u in old if u in live and u not in new}
        if change.before is None:
            return gone
        left = set(goes)
        kept = after.lv_by_id if after else {}
        left.update(lv.id for lv in change.before.lvs if lv.id not in kept)
        for uuid in live:
            parts = split_dm_uuid(uuid)
            if parts and parts[0] == change.before.id and parts[1] in left and uuid not in new:
                gone.add(uuid)
        return gone


def _messages(
    group: VolumeGroup, devices: Mapping[str, DmDevice], targets: Targets
) -> dict[str, list[TargetMessage]]:
    """What targets shall be told, by the device-mapper UUID of the device."""
    found: dict[str, list[TargetMessage]] = {}
    if not targets.send_messages:
        return found
    of = {split[1] for u in devices if (split := split_dm_uuid(u))}
    for volume in group.lvs:
        if volume.id in of:
            for message in targets.messages(group, volume):
                if message.device in devices:
                    found.setdefault(message.device, []).append(message)
    return found


def _sends(
    device: DmDevice, messages: Iterable[TargetMessage], devices: Mapping[str, DmDevice], live: Live
) -> list[Step]:
    """The steps of a device's messages, each between a suspend and a resume of what must stand still for it."""
    steps: list[Step] = []
    for message in messages:
        still = [devices[u] for u in message.suspended if u in devices and u in live]
        steps += [Suspend(d) for d in reversed(still)]
        steps.append(SendMessage(device, message.text, message.unless))
        steps += [Resume(d, fresh=False) for d in still]
    return steps


def reaches(uuid: str, goal: Collection[str], devices: Mapping[str, DmDevice]) -> bool:
    """Whether a device's table leads, through any number of devices, to one of ``goal``."""
    todo, seen = list(devices[uuid].needs()), set()
    while todo:
        u = todo.pop()
        if u in goal:
            return True
        if u not in seen and u in devices:
            seen.add(u)
            todo.extend(devices[u].needs())
    return False


def _with_lower(start: set[str], devices: Mapping[str, DmDevice]) -> set[str]:
    """``start`` and every device that one of them lies on, through any number of devices."""
    found: set[str] = set()
    todo = list(start)
    while todo:
        uuid = todo.pop()
        if uuid not in found and uuid in devices:
            found.add(uuid)
            todo.extend(devices[uuid].needs())
    return found


def _connected(start: set[str], devices: Iterable[DmDevice]) -> set[str]:
    """``start`` and every device that hangs together with one of them, from above or below."""
    edges: dict[str, set[str]] = {}
    for device in devices:
        for need in device.needs():
            edges.setdefault(device.uuid, set()).add(need)
            edges.setdefault(need, set()).add(device.uuid)
    found: set[str] = set()
    todo = list(start)
    while todo:
        uuid = todo.pop()
        if uuid not in found:
            found.add(uuid)
            todo.extend(edges.get(uuid, ()))
    return found


def _top_down(gone: set[str], old: Mapping[str, DmDevice]) -> list[str]:
    """Devices to remove, users before what they use; those of unknown tables first."""
    known = [u for u in old if u in gone]
    return [*sorted(gone - set(known), key=_helper_last), *reversed(known)]


def _helper_last(uuid: str) -> tuple[bool, str]:
    return (len(uuid) > 68, uuid)
