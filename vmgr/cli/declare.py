"""How a command is declared: as data, from which its parser, its help, its completion and its man page come.

A module in this package declares each of its commands as a :class:`Command`. Nothing here parses or prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.cli.application import Application
    from vmgr.cli.invocation import Invocation
    from vmgr.core.hooks import OptionSpec

    Run = Callable[[Application, Invocation], int]
    RunAlone = Callable[[Invocation], int]

METAVARS = {
    "activation": "y|n|ay",
    "copies": "Number",
    "number": "Number",
    "permission": "rw|r",
    "readahead": "auto|none|Number",
    "tag": "Tag",
    "text": "String",
    "yesno": "y|n",
}
"""What help shows for a value of each kind; sizes, extents and words make their own."""


@frozen
class Option:
    """One option. ``name`` is the long name without hyphens in front.

    ``kind`` says what its value is: ``flag`` (none), ``count`` (none, may be repeated to mean more), ``yesno``,
    ``word`` (one of ``choices``), ``text``, ``tag``, ``number``, ``size``, ``extents``, ``activation``,
    ``permission``, ``readahead``, ``copies``. A size without a unit is in ``unit``; ``sign`` has the
    signs that a size or a number of extents may have (``+``, ``-`` or both). ``many`` allows it several times.
    ``aliases`` are other long names. ``plugin`` is the target plugin that declared it, empty for vmgr's own.
    """

    name: str
    kind: str
    help: str
    short: str = ""
    aliases: tuple[str, ...] = ()
    metavar: str = ""
    choices: tuple[str, ...] = ()
    unit: str = "m"
    sign: str = ""
    many: bool = False
    plugin: str = ""

    @property
    def takes_value(self) -> bool:
        """Whether a value follows."""
        return self.kind not in ("flag", "count")

    @property
    def flags(self) -> str:
        """How messages name it: ``-L/--size``."""
        return f"-{self.short}/--{self.name}" if self.short else f"--{self.name}"

    @property
    def value_name(self) -> str:
        """What help and man pages show for its value."""
        if self.metavar or not self.takes_value:
            return self.metavar
        if self.choices:
            return "|".join(self.choices)
        sign = f"[{'|'.join(self.sign)}]" if self.sign else ""
        if self.kind == "size":
            return f"{sign}Size[{self.unit}|UNIT]"
        if self.kind == "extents":
            return f"{sign}Number[PERCENT]"
        return METAVARS[self.kind]


@frozen
class Argument:
    """A positional argument. ``many`` takes all that are left; ``needed`` is False where it may be left out."""

    name: str
    help: str
    needed: bool = True
    many: bool = False

    @property
    def usage(self) -> str:
        """How usage lines show it."""
        text = f"{self.name} ..." if self.many else self.name
        return text if self.needed else f"[{text}]"


@frozen
class Command:
    """A command. ``usages`` are the usage lines without the command's name.

    ``one_of`` are sets of options of which one at least must be given, ``exclusive`` sets of which
    at most one may be. ``unsupported`` are options of LVM2's command of this name that vmgr does not have,
    as ``name`` or ``name/letter``: they are refused by name. ``from_plugins`` adds what plugins declare for it.
    ``run`` carries it out; a command that looks at no device has ``run_alone`` instead. ``changes`` tells that
    it may change something.
    """

    name: str
    summary: str
    usages: tuple[str, ...]
    run: Run | None = None
    run_alone: RunAlone | None = None
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()
    exclusive: tuple[tuple[str, ...], ...] = ()
    unsupported: tuple[str, ...] = ()
    from_plugins: bool = False
    changes: bool = False


def plugin_options(command: Command, declared: tuple[tuple[str, Option], ...]) -> tuple[Option, ...]:
    """The options that plugins add to ``command``, each once.

    ``declared`` has (plugin, option) pairs. Plugins may share an option that they declare with the same kind and
    letter; its help is then that of all of them. Raises :class:`~vmgr.core.errors.PluginError` for one that
    clashes with another.
    """
    from attrs import evolve

    from vmgr.core.errors import PluginError

    owners = {name: "vmgr itself" for option in command.options for name in _names(option)}
    added: dict[str, Option] = {}
    helps: dict[str, list[tuple[str, str]]] = {}
    for plugin, option in declared:
        other = added.get(option.name)
        shared = other is not None and (other.kind, other.short) == (option.kind, option.short)
        for name in _names(option):
            owner = owners.setdefault(name, plugin)
            if owner != plugin and not (shared and other is not None and name in _names(other)):
                raise PluginError(
                    f"target plugin {plugin!r} declares {option.flags} for {command.name}, where {owner} has"
                    f" {'-' + name if len(name) == 1 else '--' + name} with another meaning",
                    hint="uninstall one of them",
                )
        added.setdefault(option.name, option)
        helps.setdefault(option.name, []).append((plugin, option.help))
    return tuple(
        evolve(option, help=" ".join(f"{plugin}: {text}" for plugin, text in helps[option.name]))
        if len(helps[option.name]) > 1
        else option
        for option in added.values()
    )


def _names(option: Option) -> tuple[str, ...]:
    return tuple(name for name in (option.name, *option.aliases, option.short) if name)


def from_spec(spec: OptionSpec, plugin: str) -> Option:
    """The option that a plugin declared, as one of this package. Raises PluginError for an unknown kind."""
    kind = {"word": "word" if spec.choices else "text"}.get(spec.kind, spec.kind)
    if kind not in ("flag", "number", "size", "yesno", "word", "text"):
        from vmgr.core.errors import PluginError

        raise PluginError(f"target plugin {plugin!r} declares --{spec.name} of unknown kind {spec.kind!r}")
    return Option(
        spec.name,
        kind,
        spec.help,
        short=spec.short,
        aliases=spec.aliases,
        metavar=spec.metavar,
        choices=spec.choices,
        unit=spec.default_unit,
        plugin=plugin,
    )
