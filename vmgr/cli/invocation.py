"""A parsed command line, and typed access to what was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from vmgr.cli.terminal import Terminal
    from vmgr.core.amounts import SizeSpec
    from vmgr.core.ids import Tag
    from vmgr.core.requests import Options, OptionValue
    from vmgr.core.units import Sectors

    class Added(Protocol):
        """What is needed of an option that a target plugin declared."""

        name: str
        kind: str
        sign: str

    class Argument(Protocol):
        """What is needed of a declared argument."""

        @property
        def name(self) -> str:
            """What it is called in the usage."""

        @property
        def help(self) -> str:
            """What it is."""

    class Command(Protocol):
        """What is needed of the :class:`vmgr.cli.declare.Command` that was called."""

        @property
        def name(self) -> str:
            """Its name."""

        @property
        def arguments(self) -> Sequence[Argument]:
            """Its arguments, in order."""

        @property
        def usages(self) -> Sequence[str]:
            """The forms in which it can be called."""

        @property
        def changes(self) -> bool:
            """Whether it changes anything."""


class Invocation:
    """One run of a command. ``values`` has what was given by an option's long name, already checked.

    A ``count`` is a number, an option that may be repeated a tuple. ``plugin`` are the options that
    target plugins declared.
    """

    __slots__ = ("arguments", "command", "plugin", "terminal", "values")

    def __init__(
        self,
        command: Command,
        arguments: tuple[str, ...],
        values: Mapping[str, object],
        terminal: Terminal,
        plugin: Sequence[Added] = (),
    ) -> None:
        self.command = command
        self.arguments = arguments
        self.values = values
        self.terminal = terminal
        self.plugin = plugin

    def given(self, name: str) -> bool:
        """Whether option ``name`` was given."""
        return name in self.values

    def flag(self, name: str) -> bool:
        """Whether a flag was given, or a yes-or-no option says yes."""
        return bool(self.values.get(name, False))

    def yesno(self, name: str) -> bool | None:
        """A yes-or-no option; None if it was not given."""
        value = self.values.get(name)
        assert value is None or isinstance(value, bool)
        return value

    def times(self, name: str) -> int:
        """How often a ``count`` option was given."""
        value = self.values.get(name, 0)
        assert isinstance(value, int)
        return value

    def number(self, name: str) -> int | None:
        """A number; None if it was not given."""
        value = self.values.get(name)
        assert value is None or isinstance(value, int)
        return value

    def text(self, name: str) -> str | None:
        """A word or string; None if it was not given."""
        value = self.values.get(name)
        assert value is None or isinstance(value, str)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of an option that may be repeated, in order."""
        value = self.values.get(name, ())
        assert isinstance(value, tuple)
        return value

    def tags(self, name: str) -> tuple[Tag, ...]:
        """All tags given with option ``name``, each once."""
        value = self.values.get(name, ())
        assert isinstance(value, tuple)
        return tuple(dict.fromkeys(value))

    def size(self, name: str) -> Sectors | None:
        """An unsigned size in sectors; None if it was not given."""
        spec = self.spec(name)
        if spec is None:
            return None
        from vmgr.core.units import Sectors

        assert isinstance(spec.value, Sectors)
        return spec.value

    def spec(self, *names: str) -> SizeSpec | None:
        """The size given with the first of ``names`` that was given (``--size`` or ``--extents``)."""
        from vmgr.core.amounts import SizeSpec

        for name in names:
            value = self.values.get(name)
            if value is not None:
                assert isinstance(value, SizeSpec)
                return value
        return None

    def plugin_options(self) -> Options:
        """What was given of the options that target plugins declared, as requests take them."""
        from vmgr.core.amounts import SizeSpec

        found: list[tuple[str, OptionValue]] = []
        for option in self.plugin:
            value = self.values.get(option.name)
            # A size that can have no sign is a length and no more.
            if isinstance(value, SizeSpec) and option.kind == "size" and not option.sign:
                value = value.value
            if isinstance(value, bool | int | str | tuple | SizeSpec):
                found.append((option.name, value))
        return tuple(found)
