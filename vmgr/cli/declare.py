"""How a command is declared: as data, from which its parser, its help, its completion and its man page come.

A module in this package declares each of its commands as a :class:`Command`. Nothing here parses or prints.
(Plain classes, whose values nobody changes: attrs would cost every command half a millisecond for each.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation
    from vmgr.core.errors import PluginError
    from vmgr.core.hooks import OptionSpec, TargetInfo

    Run = Callable[[Application, Invocation], int]
    RunAlone = Callable[[Invocation], int]

METAVARS = {
    "activation": "y|n|ay",
    "copies": "Number",
    "number": "Number",
    "percent": "Percent",
    "permission": "rw|r",
    "readahead": "auto|none|Number",
    "tag": "Tag",
    "text": "String",
    "volume": "LV",
    "yesno": "y|n",
}
"""What help shows for a value of each kind; sizes, extents and words make their own."""


class Option:
    """One option. ``name`` is the long name without hyphens in front.

    ``kind`` says what its value is: ``flag`` (none), ``count`` (none, may be repeated to mean more), ``yesno``,
    ``word`` (one of ``choices``), ``text``, ``tag``, ``volume``, ``number``, ``percent``, ``size``,
    ``extents``, ``activation``, ``permission``, ``readahead``, ``copies``. A size without a unit is in
    ``unit``; ``sign`` has the signs that a size or a number of extents may have (``+``, ``-`` or both).
    ``many`` allows it several times; ``zero`` a size of 0, which says no more than leaving the option out.
    ``short`` is its letter, or several of the same meaning. ``aliases`` are other long names. ``plugin`` is the
    target plugin that declared it, empty for vmgr's own.
    """

    __slots__ = (
        "aliases", "choices", "help", "kind", "many", "metavar", "name", "plugin", "short", "sign", "unit", "zero",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        kind: str,
        help: str,
        short: str = "",
        aliases: tuple[str, ...] = (),
        metavar: str = "",
        choices: tuple[str, ...] = (),
        unit: str = "m",
        sign: str = "",
        many: bool = False,
        plugin: str = "",
        zero: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.help = help
        self.short = short
        self.aliases = aliases
        self.metavar = metavar
        self.choices = choices
        self.unit = unit
        self.sign = sign
        self.many = many
        self.plugin = plugin
        self.zero = zero

    def with_aliases(self, *aliases: str) -> Option:
        """The same option with other long names besides its own."""
        rest = (getattr(self, name) for name in OPTION_FIELDS[5:])
        return Option(self.name, self.kind, self.help, self.short, aliases, *rest)

    def with_help(self, help: str) -> Option:
        """The same option with another help text."""
        return Option(self.name, self.kind, help, *(getattr(self, name) for name in OPTION_FIELDS[3:]))

    @property
    def names(self) -> tuple[str, ...]:
        """Its long name, its aliases, and its letters."""
        return (self.name, *self.aliases, *self.short)

    @property
    def takes_value(self) -> bool:
        """Whether a value follows."""
        return self.kind not in ("flag", "count")

    @property
    def flags(self) -> str:
        """How messages name it: ``-L/--size``."""
        return f"-{self.short[0]}/--{self.name}" if self.short else f"--{self.name}"

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
        if self.kind == "number":
            return f"{sign}Number"
        return METAVARS[self.kind]


OPTION_FIELDS = (
    "name", "kind", "help", "short", "aliases", "metavar", "choices", "unit", "sign", "many", "plugin", "zero",
)  # fmt: skip


class Argument:
    """A positional argument. ``many`` takes all that are left; ``needed`` is False where it may be left out.

    ``choices`` are what shells complete; what is given is not checked against them.
    """

    __slots__ = ("choices", "help", "many", "name", "needed")

    def __init__(
        self, name: str, help: str, needed: bool = True, many: bool = False, choices: tuple[str, ...] = ()
    ) -> None:
        self.choices = choices
        self.name = name
        self.help = help
        self.needed = needed
        self.many = many

    @property
    def usage(self) -> str:
        """How usage lines show it."""
        text = f"{self.name} ..." if self.many else self.name
        return text if self.needed else f"[{text}]"


class Command:
    """A command. ``usages`` are the usage lines without the command's name.

    ``one_of`` are sets of options of which one at least must be given, ``exclusive`` sets of which
    at most one may be. ``unsupported`` are options of LVM2's command of this name that vmgr does not have,
    as ``name`` or ``name/letter``: they are refused by name. ``from_plugins`` adds what plugins declare for it.
    ``run`` carries it out; a command that looks at no device has ``run_alone`` instead. ``changes`` tells that
    it may change something.
    """

    __slots__ = (
        "arguments", "changes", "exclusive", "from_plugins", "name", "one_of", "options", "run", "run_alone",
        "summary", "unsupported", "usages",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        summary: str,
        *,
        usages: tuple[str, ...],
        run: Run | None = None,
        run_alone: RunAlone | None = None,
        arguments: tuple[Argument, ...] = (),
        options: tuple[Option, ...] = (),
        one_of: tuple[tuple[str, ...], ...] = (),
        exclusive: tuple[tuple[str, ...], ...] = (),
        unsupported: tuple[str, ...] = (),
        from_plugins: bool = False,
        changes: bool = False,
    ) -> None:
        self.name = name
        self.summary = summary
        self.usages = usages
        self.run = run
        self.run_alone = run_alone
        self.arguments = arguments
        self.options = options
        self.one_of = one_of
        self.exclusive = exclusive
        self.unsupported = unsupported
        self.from_plugins = from_plugins
        self.changes = changes

    def has(self, name: str) -> bool:
        """Whether vmgr's own options of the command have this long name."""
        return any(option.name == name for option in self.options)


def plugin_options(command: Command, plugins: Iterable[TargetInfo]) -> tuple[Option, ...]:
    """The options that ``plugins`` add to ``command``, each once.

    Plugins may share an option that they declare with the same kind and letter; its help is then that of all of
    them. Raises :class:`~vmgr.core.errors.PluginError` for one that clashes with vmgr's own.
    """
    own = {name for option in command.options for name in option.names}
    added: dict[str, Option] = {}
    helps: dict[str, list[tuple[str, str]]] = {}
    for info in plugins:
        for spec in info.options:
            if command.name not in spec.commands:
                continue
            option = from_spec(spec, info.name)
            if not own.isdisjoint(option.names):
                raise _taken(command, option, own)
            added.setdefault(option.name, option)
            helps.setdefault(option.name, []).append((info.name, option.help))
    return tuple(
        option.with_help(" ".join(f"{plugin}: {text}" for plugin, text in helps[option.name]))
        if len(helps[option.name]) > 1
        else option
        for option in added.values()
    )


def _taken(command: Command, option: Option, own: set[str]) -> PluginError:
    from vmgr.core.errors import PluginError

    name = next(name for name in option.names if name in own)
    return PluginError(
        f"{option.plugin} declares {option.flags} for {command.name}, where vmgr itself has"
        f" {'-' + name if len(name) == 1 else '--' + name} with another meaning",
        hint="uninstall it",
        plugin=option.plugin,
    )


def from_spec(spec: OptionSpec, plugin: str) -> Option:
    """The option that a plugin declared, as one of this package. Raises PluginError for an unknown kind."""
    kind = {"word": "word" if spec.choices else "text"}.get(spec.kind, spec.kind)
    if kind not in ("extents", "flag", "number", "percent", "size", "text", "volume", "word", "yesno"):
        from vmgr.core.errors import PluginError

        raise PluginError(
            f"{plugin} declares --{spec.name} of unknown kind {spec.kind!r}",
            hint="uninstall it, or install a version that is made for this vmgr",
            plugin=plugin,
        )
    return Option(
        spec.name,
        kind,
        spec.help,
        short=spec.short,
        aliases=spec.aliases,
        metavar=spec.metavar,
        choices=spec.choices,
        unit=spec.default_unit,
        sign="+-" if spec.signed else "",
        many=spec.repeated,
        plugin=plugin,
    )
