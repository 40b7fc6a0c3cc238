"""One command's dealings with the machine: configuration, locks, scan, kernel, and carrying out a change.

The services (:mod:`vmgr.services`) say what to do; this says how a change gets from a value to the disks, always
the same way: under the lock, freshly read, checked, planned, and then run by the committer. A :class:`Session` is a
:class:`~vmgr.session.survey.Survey` of a :class:`~vmgr.session.machine.Machine` that can change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import GroupUnusable, InvalidGroup, StoppedHalfway, VmgrError
from vmgr.session.machine import Silence
from vmgr.session.survey import Survey

if TYPE_CHECKING:
    from vmgr.core.change import Change
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.targets import Targets
    from vmgr.core.view import GroupView, PvView
    from vmgr.outcome import Outcome

__all__ = ["Session", "Silence"]


class Session(Survey):
    """The machine as one command sees and changes it."""

    def child(self) -> Session:
        """A session for a process forked off this one: same options, nothing shared, nobody to talk to."""
        return Session(evolve(self._options, yes=True), None, self._targets)

    # -- changing ---------------------------------------------------------------------------------

    @contextmanager
    def changing(
        self,
        name: str,
        *,
        whole_namespace: bool = False,
        activating: bool = False,
        leaving: bool = False,
        refreshing: bool = False,
        writing: bool = True,
        purpose: str = "change",
        **allow: bool,
    ) -> Iterator[GroupView]:
        """The group called ``name`` (see :meth:`meant`), locked and freshly read, for a change or an activation.

        ``whole_namespace`` also locks group names and devices (for what adds or removes those).
        ``activating`` is for what changes no metadata, ``leaving`` for what only lets go of devices: that is
        possible whoever owns the group. ``writing`` off: no metadata are to be written, by what is no activation
        either. ``purpose`` says in a refusal what could not be done. ``allow`` names
        states that are no hindrance: ``missing``, ``exported``.
        """
        if whole_namespace:
            self.locks.all_groups(exclusive=True)
        with self._locked_under_all_names(self.meant(name), activating or not writing) as view:
            if view.begun and not leaving:
                view = self._finished(view, must=not activating)
            if leaving:
                self._require_ours_or_active(view)
            elif activating:
                from vmgr.core.usable import require_imported, require_local

                view.check_readable()
                require_local(view.group)
                require_imported(view.group)
            else:
                view.check_changeable(**allow)
                from vmgr.core.usable import require_known

                require_known(view.group, purpose)
            view = self._under_one_name(view)
            self.heal(view, refreshing=refreshing)
            if not self.options.test and self.targets.has_pending(view.group):
                from vmgr.session.settling import settled

                view = settled(self, view, self.carry_out)
            self.committed.clear()
            try:
                yield view
                mine = [group for group in self.committed if group.id == view.group.id]
                if mine and self.targets.has_pending(mine[-1]):
                    from vmgr.session.settling import settled

                    settled(self, self.locked_group(mine[-1].name), self.carry_out)
            except InvalidGroup as error:
                raise _whose_fault(view.group, self.targets, error) from error
            finally:
                if self.for_the_time:
                    from vmgr.session.settling import put_back

                    put_back(self, view.group.name, self.carry_out)

    @contextmanager
    def _locked_under_all_names(self, name: str, activating: bool) -> Iterator[GroupView]:
        """The group called ``name``, locked under that and under each older name that some of its disks have.

        Who looks for it there, as LVM2 does, waits too. The locks are taken in the order of the names, so the first
        is given back where an older name comes before it.
        """

        def lock(*names: str) -> GroupView:
            for one in sorted(names):
                held.enter_context(self.locks.group(one, exclusive=True, activating=activating))
            return self.locked_group(name)

        with ExitStack() as held:
            view = lock(name)
            others = {*view.former, *(group.name for pair in view.begun for group in pair)}
            if others:
                held.close()
                view = lock(*{name, *others})
            yield view

    def _finished(self, view: GroupView, *, must: bool) -> GroupView:
        """The locked group once what a transaction with others has begun is done, as far as it may be written now.

        What cannot be written is an error where it ``must`` be, for a change; an activation takes what is there.
        Raises :class:`~vmgr.core.errors.NotFound` where the group has gone into another by that.
        """
        from vmgr.core.transaction import finished
        from vmgr.core.usable import require_known

        name, options = view.group.name, self.options
        names = [group.name for pair in view.begun for group in pair]
        if options.test or not options.locking or options.ignore_lock_failure:
            return view
        if not all(self.locks.holds(one, exclusive=True) for one in names):
            return view
        views = self.view(names, foreign=True)
        for owner, other in view.begun:
            change = finished(owner, other)
            assert change.before is not None
            found = views.group_by_id(change.before.id)
            told = (
                f"volume groups {owner.name} and {other.name} were being changed together by a command that did not"
                " end"
            )
            try:
                found.check_changeable(missing=True)
                require_known(found.group)
                self.carry_out(change, found, touch_devices=False)
            except VmgrError as error:
                if must:
                    raise
                self.warn_once(f"{told}; what is left to do in {found.group.name} cannot be done: {error.message}")
                return view
            self.warn_once(f"{told}; what was left to do in {found.group.name} is done")
        return self.locked_group(name)

    @contextmanager
    def changing_together(
        self, names: Sequence[str], *, new: Sequence[str] = (), **allow: bool
    ) -> Iterator[tuple[GroupView, ...]]:
        """Several groups for one transaction, each as :meth:`changing` has it; ``new`` are names of new groups.

        All locks are taken before anything is read, in the order of the names.
        """
        with ExitStack() as held:
            held.enter_context(self.locks.all_groups(exclusive=True))
            for name in sorted({*map(self.meant, names), *new}):
                held.enter_context(self.locks.group(name, exclusive=True))
            yield tuple([held.enter_context(self.changing(name, purpose="change", **allow)) for name in names])

    def _require_ours_or_active(self, view: GroupView) -> None:
        """A group of another host that is active here is let go of, and both hosts may have written to it."""
        if not view.foreign:
            return
        if not self.active_here(view):
            view.check_readable()
        self.warn_foreign(view)

    def _under_one_name(self, view: GroupView) -> GroupView:
        """The locked group, written anew where a rename that did not end left areas with the older name.

        To LVM2 that is the group under its older name, or two groups that each miss disks. What cannot be written
        now is left to the next command: a group is activated from disks that cannot be written to, too. Nothing is
        written where a lock may be missing (``--ignorelockingfailure``), or is: both names' are needed.
        """
        group = view.group
        options = self.options
        if not view.former or options.test or not options.locking or options.ignore_lock_failure:
            return view
        if not all(self.locks.holds(name, exclusive=True) for name in (group.name, *view.former)):
            return view
        from vmgr.core.change import Change
        from vmgr.core.usable import require_known

        names = ", ".join(view.former)
        try:
            view.check_changeable(exported=True)
            require_known(group)
            self.carry_out(Change(group, evolve(group, seqno=group.seqno + 1)), view, touch_devices=False)
        except VmgrError as error:
            self.warn_once(f"volume group {group.name} is still called {names} on some disks: {error.message}")
            return view
        self.warn_once(f"volume group {group.name} was still called {names} on some disks, and is not any more")
        return self.locked_group(group.name)

    def was_called(self, view: GroupView, name: str) -> bool:
        """Whether something of a group still has ``name``: metadata, devices, nodes or links."""
        if name in view.former:
            return True
        client = self.client()
        if client is None:
            return False
        from vmgr.healer import Healer

        healer = Healer(view.group, client, self.config.dev_dir, self.warn_once, self._kept(view.group))
        return healer.was_called(name)

    def _kept(self, group: VolumeGroup) -> Callable[[str, bool], bool]:
        """A function that says whether the backup (True: the last archive) of a name is of ``group``."""
        from vmgr.system.archive import Archives

        archives = Archives.from_config(self.config)
        return lambda name, archived: archives.owner(name, archived=archived) == group.id.dashed

    def heal(self, view: GroupView, *, refreshing: bool = False) -> None:
        """Put in order what a command that did not end left in the kernel for this group, whose lock is held.

        Each device is named in a warning, and so is what is left alone. ``refreshing``: devices that somebody
        suspended are about to be resumed, and not worth a word.
        """
        from vmgr.core.usable import lock_manager

        group = view.group
        if view.faults or view.unchangeable or view.foreign or lock_manager(group):
            return  # what the devices shall be is in doubt, or not this host's to say
        if not self.options.locking or not self.locks.holds(group.name, exclusive=True):
            return  # another command may be at work on them
        client = self.client()
        if client is None:
            return
        from vmgr.core.change import Change
        from vmgr.core.phases import Plan
        from vmgr.healer import Healer
        from vmgr.system.putback import left_away

        healer = Healer(
            group,
            client,
            self.config.dev_dir,
            lambda text: self.warn_once(f"volume group {group.name}: {text}"),
            self._kept(group),
        )
        if not self.options.test:
            healer.repair_nodes()
        found = healer.find(
            self.targets,
            {uuid: pv.number for uuid, pv in view.pvs.items()},
            lambda live: self.device_rules(Change(group, group), dict(view.pvs), live),
        )
        before = "without --test, before all else: " if self.options.test else ""
        for away in left_away(f"LVM-{group.id}"):
            self.warn_once(f"volume group {group.name}: {away}")
        for text in (*(before + text for text in found.told), *found.left, *(() if refreshing else found.held)):
            self.warn_once(f"volume group {group.name}: {text}")
        if not found.steps:
            return
        if self.options.test:
            self._foretold[f"LVM-{group.id}"] = found.after
            return
        from vmgr.commit import Committer

        store = self.store({}, repair=False)
        try:
            with self.watching():
                devices = self.devices(dict(view.pvs))
                Committer(store, devices, progress=self.tell_step).run(Plan((Change(group, group),), found.steps))
        except VmgrError as error:
            error.message = f"cannot put in order what a command left in volume group {group.name}: {error.message}"
            error.args = (error.message,)
            raise
        finally:
            store.close()

    def carry_out(
        self,
        change: Change,
        view: GroupView | None,
        *,
        also: Sequence[tuple[Change, GroupView | None]] = (),
        new_pvs: Mapping[Uuid, PvView] | None = None,
        touch_devices: bool = True,
        repair: bool = False,
        first: Callable[[], None] | None = None,
    ) -> Outcome:
        """Plan a change of a locked group, check that the plan can be run, and, unless this is a test, run it.

        ``view`` is the group as it was read, None for a new one; ``new_pvs`` are PVs that join it. ``also`` are
        other changes, each with its group, that are one transaction with this one (:mod:`vmgr.core.transaction`),
        committed in this order as far as physical volumes that go from one group to another allow.
        ``touch_devices`` off leaves the kernel's devices as they are, whatever the new metadata say. ``repair``
        makes metadata areas anew whose headers are damaged. ``first`` is called once all has been checked, before
        the first step, and not in a test.
        """
        from vmgr.session.execution import Execution

        parts = ((change, view), *also)
        for one, found in parts:
            if one.needs_active and one.before is not None and not self.options.test:
                from vmgr.session.settling import brought_up

                self.for_the_time += brought_up(self, found, one, self.carry_out)
        try:
            outcome = Execution(self).carry_out(
                change, view, also=also, new_pvs=new_pvs, touch_devices=touch_devices, repair=repair, first=first
            )
        except StoppedHalfway as error:
            for after in [one.after for one, _ in parts if one.after is not None and error.unsent]:
                from vmgr.session.settling import taken_back

                taken_back(self, after, error, self.carry_out)
            raise
        if not self.options.test:
            self.committed += [one.after for one, _ in parts if one.changes_metadata and one.after is not None]
        return outcome


def _whose_fault(group: VolumeGroup, targets: Targets, error: InvalidGroup) -> VmgrError:
    """What to say when a change would make an invalid group: often the group was invalid before."""
    from vmgr.core.validate import validate

    broken = validate(group, targets)
    if not broken:
        return error
    return GroupUnusable(
        f"the metadata of volume group {group.name} breaks a rule of the volume model:"
        f" {broken[0].subject}: {broken[0].rule}",
        details=tuple(f"{v.subject}: {v.rule}" for v in broken[1:]),
        hint=f"nothing was changed; bring back good metadata: vgcfgrestore --list {group.name}",
    )
