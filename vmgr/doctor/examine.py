"""Examination of the machine, subject by subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from vmgr.core.errors import VmgrError
from vmgr.doctor import (
    control,
    cookies,
    devices,
    kernel,
    locks,
    lvm2,
    major,
    nodes,
    permissions,
    plugins,
    settings,
    stacks,
    targets,
    udev,
)
from vmgr.doctor.finding import WARNING, Finding
from vmgr.doctor.kernelconfig import given_config, given_tree
from vmgr.doctor.machine import look
from vmgr.doctor.roots import Roots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vmgr.dm.query import DmReader
    from vmgr.doctor.machine import Machine
    from vmgr.system.config import Config

SUBJECTS = {
    kernel.SUBJECT: "is the device mapper in the kernel, and what can it do",
    targets.SUBJECT: "which kinds of mapping are loaded, and which could be",
    plugins.SUBJECT: "does the kernel have what each target plugin needs",
    permissions.SUBJECT: "may you use it; are you in a container",
    control.SUBJECT: "is /dev/mapper/control right",
    major.SUBJECT: "the block major number, and settings that ask for another",
    udev.SUBJECT: "does udev run, with the rules that are needed",
    cookies.SUBJECT: "are there semaphores left over from waiting for udev",
    devices.SUBJECT: "is a device suspended, only partly set up, or missing from a volume that runs",
    nodes.SUBJECT: "does /dev agree with the kernel",
    locks.SUBJECT: "who holds LVM2's locks; can they be taken",
    lvm2.SUBJECT: "the configuration that is shared with LVM2",
    settings.SUBJECT: "which settings of it have no effect",
}
"""Every subject, in the order of examination, with its question."""

OF_A_KERNEL = (kernel.SUBJECT, targets.SUBJECT, plugins.SUBJECT)
"""Subjects that can be examined in a kernel's configuration or tree."""


@frozen
class Question:
    """What to examine. ``subjects`` empty: all that apply.

    ``kernel_config`` and ``kernel_dir`` are paths; with either, that kernel is examined instead of the running
    machine. ``settings`` are texts of ``--config``; with ``ask`` False, the device mapper is not queried.
    ``environ`` None is the process's own environment.
    """

    roots: Roots = field(factory=Roots)
    subjects: tuple[str, ...] = ()
    kernel_config: str = ""
    kernel_dir: str = ""
    settings: tuple[str, ...] = ()
    environ: Mapping[str, str] | None = None
    uid: int | None = None
    now: float | None = None
    ask: bool = True

    @property
    def given(self) -> bool:
        """Whether the question is about another kernel than that of the running machine."""
        return bool(self.kernel_config or self.kernel_dir)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The subjects, in order."""
        possible = OF_A_KERNEL if self.given else tuple(SUBJECTS)
        return tuple(subject for subject in possible if subject in self.subjects or not self.subjects)


def examine(question: Question, reader: DmReader | None = None) -> tuple[Finding, ...]:
    """Every finding, in the order of the subjects. Changes nothing, and waits for nothing.

    ``reader`` stands for the kernel in tests. Raises :class:`~vmgr.core.errors.NotFound` or
    :class:`~vmgr.core.errors.ConfigError` for a kernel that was given and cannot be used.
    """
    if question.given:
        return _of_given(question)
    found: list[Finding] = []
    machine = look(question.roots, reader, ask=question.ask)
    try:
        examination = _Examination(question, machine, real=reader is None)
        for subject in question.chosen:
            found += _guarded(subject, getattr(examination, subject))
    finally:
        machine.close()
    return tuple(found)


def _guarded(subject: str, run: Callable[[], Sequence[Finding]]) -> Sequence[Finding]:
    """Examine one subject. If that fails, report it as a finding, so that the other subjects are still examined."""
    try:
        return run()
    except VmgrError as error:
        text, remedy = error.message, error.hint
    except OSError as error:
        text, remedy = f"{error.filename or subject}: {error.strerror}", ""
    return (Finding(f"{subject}.failed", subject, WARNING, f"could not be examined: {text}", remedy),)


def _of_given(question: Question) -> tuple[Finding, ...]:
    config = given_config(question.kernel_config) if question.kernel_config else None
    tree = given_tree(question.kernel_dir) if question.kernel_dir else None
    facts = kernel.of_given(config, tree)
    known: dict[str, tuple[int, ...]] | None = dict(tree.targets) if tree is not None and tree.targets else None
    found: list[Finding] = []
    for subject in question.chosen:
        if subject == kernel.SUBJECT:
            found += kernel.check(facts)
        elif subject == targets.SUBJECT:
            found += targets.check(facts, known)
        else:
            found += _guarded(subject, lambda: plugins.check(plugins.gather(), facts, known))
    return tuple(found)


class _Examination:
    """The subjects of one machine, by name, and the data that several of them need."""

    def __init__(self, question: Question, machine: Machine, *, real: bool) -> None:
        self._question = question
        self._real = real
        self._machine = machine
        self._roots = question.roots
        self._kernel = kernel.gather(machine)
        self._who = permissions.gather(self._roots, question.uid)
        self._config: Config | None = None
        self._config_error: VmgrError | None = None

    def _load_config(self) -> Config | None:
        if self._config is None and self._config_error is None:
            from vmgr.system.config import load

            try:
                self._config = load(self._question.settings, environ=self._question.environ)
            except VmgrError as error:
                self._config_error = error
        return self._config

    def _targets(self) -> dict[str, tuple[int, ...]] | None:
        return dict(self._machine.asked.targets) if self._machine.reader is not None else None

    def kernel(self) -> Sequence[Finding]:
        return kernel.check(self._kernel)

    def targets(self) -> Sequence[Finding]:
        return targets.check(self._kernel, self._targets())

    def plugins(self) -> Sequence[Finding]:
        return plugins.check(plugins.gather(), self._kernel, self._targets())

    def permissions(self) -> Sequence[Finding]:
        return permissions.check(self._who)

    def control(self) -> Sequence[Finding]:
        return control.check(control.gather(self._machine))

    def major(self) -> Sequence[Finding]:
        return major.check(major.gather(self._machine))

    def udev(self) -> Sequence[Finding]:
        container = bool(self._who.container)
        return udev.check(udev.gather(self._roots, self._question.environ, container=container))

    def cookies(self) -> Sequence[Finding]:
        return cookies.check(cookies.gather(self._roots, self._question.now))

    def devices(self) -> Sequence[Finding]:
        gaps: tuple[stacks.Gap, ...] = ()
        failed: Sequence[Finding] = ()
        if self._real:  # metadata are looked for on this machine's disks, whatever stands for its kernel
            try:
                gaps = stacks.gather(self._machine, self._load_config())
            except VmgrError as error:
                text = f"whether devices of volumes are missing was not found out: {error.message}"
                failed = (Finding("devices.unread", devices.SUBJECT, WARNING, text, error.hint),)
        return (*failed, *devices.check(devices.gather(self._machine, self._question.now, gaps)))

    def nodes(self) -> Sequence[Finding]:
        return nodes.check(nodes.gather(self._machine), container=bool(self._who.container))

    def locks(self) -> Sequence[Finding]:
        from vmgr.system.config import Config

        # If lvm.conf cannot be read, LVM2 would use its defaults.
        config = self._load_config() or Config()
        return locks.check(locks.gather(self._roots, config, self._question.uid))

    def lvm2(self) -> Sequence[Finding]:
        config = self._load_config()
        return lvm2.check(lvm2.gather(self._roots, config, self._config_error))

    def settings(self) -> Sequence[Finding]:
        return settings.check(settings.gather(self._load_config()))
