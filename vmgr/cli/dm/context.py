"""What every subcommand of ``vmgr dm`` needs: the client, the device that is meant, names, JSON.

:func:`open_client` is the one place that opens a kernel; tests put a fake in its place.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vmgr.cli.invocation import Invocation
from vmgr.core.errors import ConfigError, NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vmgr.cli.declare import Command
    from vmgr.cli.terminal import Terminal
    from vmgr.dm.address import DevId
    from vmgr.dm.client import DmClient
    from vmgr.dm.kernel import Kernel
    from vmgr.dm.names import Mangling
    from vmgr.dm.nodes import Nodes
    from vmgr.dm.wire import Reply, Request

DEV_DIR_VARIABLE = "DM_DEV_DIR"
SYS_BLOCK = "/sys/dev/block"
COOKIE_VARIABLE = "DM_UDEV_COOKIE"


class DmInvocation(Invocation):
    """One run of a subcommand. ``as_dmsetup``: called through a link, so that dmsetup's ways count."""

    __slots__ = ("as_dmsetup", "ignored")

    def __init__(
        self,
        command: Command,
        arguments: tuple[str, ...],
        values: Mapping[str, object],
        terminal: Terminal,
        as_dmsetup: bool = False,
        ignored: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(command, arguments, values, terminal)
        self.as_dmsetup = as_dmsetup
        self.ignored = ignored
        """dmsetup's options that were given and mean nothing to this subcommand."""


class ClientSettings:
    """How a client is to be opened; the meanings are those of :meth:`vmgr.dm.client.DmClient.open`.

    ``owner``, ``group`` and ``mode`` are those of nodes that vmgr makes itself; None for the usual ones.
    """

    __slots__ = ("cookie", "dev_dir", "group", "mode", "owner", "rules", "sync", "verify")

    def __init__(
        self,
        dev_dir: str = "/dev",
        *,
        sync: bool = True,
        rules: bool = True,
        verify: bool = True,
        cookie: int = 0,
        owner: int | None = None,
        group: int | None = None,
        mode: int | None = None,
    ) -> None:
        self.dev_dir = dev_dir
        self.sync = sync
        self.rules = rules
        self.verify = verify
        self.cookie = cookie
        self.owner = owner
        self.group = group
        self.mode = mode


def open_client(settings: ClientSettings, warn: Callable[[str], None]) -> DmClient:
    """The client for the running kernel. The control node is opened by its first command."""
    from vmgr.dm.client import DmClient

    nodes = None
    if not (settings.owner is settings.group is settings.mode is None):
        from vmgr.dm.nodes import MODE, Nodes

        mode = MODE if settings.mode is None else settings.mode
        nodes = Nodes(settings.dev_dir, uid=settings.owner or 0, gid=settings.group, mode=mode)
    return DmClient.open(
        dev_dir=settings.dev_dir,
        sync=settings.sync,
        rules=settings.rules,
        verify=settings.verify,
        cookie=settings.cookie,
        nodes=nodes,
        warn=warn,
    )


def _check_cookie(settings: ClientSettings) -> None:
    """Refuse a cookie that is none before anything is changed. Raises :class:`NotFound`, :class:`UsageError`.

    Where nobody waits for udev it means nothing, as with dmsetup.
    """
    from vmgr.dm.udev import detect

    udev = detect(settings.dev_dir, sync=settings.sync, cookie=settings.cookie)
    if udev is not None:
        udev.prepare()


def own_nodes(settings: ClientSettings) -> Nodes | None:
    """The nodes, where vmgr is to keep them; None where udev keeps them."""
    from vmgr.dm.nodes import MODE, Nodes
    from vmgr.dm.udev import detect

    if settings.rules and detect(settings.dev_dir) is not None:
        return None
    mode = MODE if settings.mode is None else settings.mode
    return Nodes(settings.dev_dir, uid=settings.owner or 0, gid=settings.group, mode=mode)


class Context:
    """One subcommand's dealings with the kernel. ``with Context(invocation) as context`` closes the client.

    ``mangled``: names are taken and shown as the kernel has them, whatever the mangling mode is.
    """

    def __init__(self, invocation: Invocation, *, mangled: bool = False) -> None:
        self.invocation = invocation
        self._mangled = mangled
        self.terminal = invocation.terminal
        self.as_dmsetup = isinstance(invocation, DmInvocation) and invocation.as_dmsetup
        """Whether dmsetup's exit statuses and output are wanted."""
        self.json = invocation.flag("json")
        """Whether the answer is to be JSON."""
        self.environ: Mapping[str, str] = os.environ
        self._client: DmClient | None = None

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Settle what is pending with udev, and close the client if it was opened."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    # -- the kernel ----------------------------------------------------------------------------------

    @property
    def dev_dir(self) -> str:
        """The device directory: ``DM_DEV_DIR``, or ``/dev``. Raises :class:`ConfigError`."""
        text = self.environ.get(DEV_DIR_VARIABLE, "")
        if not text:
            return "/dev"
        if not text.startswith("/"):
            raise ConfigError(
                f"{DEV_DIR_VARIABLE}={text!r} is not an absolute path", hint="set it to /dev, or unset it"
            )
        return text.rstrip("/") or "/"

    def client(self) -> DmClient:
        """The client, opened once, with regard to the options and to the environment."""
        if self._client is None:
            settings = self.settings()
            if settings.cookie and self.invocation.command.changes:
                _check_cookie(settings)
            self._client = open_client(settings, self.warn)
            self._say_whose_nodes(settings)
            if self.terminal.level:
                self._tell(self._client.kernel)
        return self._client

    def _say_whose_nodes(self, settings: ClientSettings) -> None:
        """Owner, group and mode were asked for, and nothing here decides on them: that should be known."""
        if self.as_dmsetup or settings.owner is settings.group is settings.mode is None:
            return
        if own_nodes(settings) is None:
            self.warn("udev makes the nodes: its rules decide on their owner, group and mode")

    def _tell(self, kernel: Kernel) -> None:
        """Say each command that the kernel is given, which ``-vv`` asks for."""
        from vmgr.dm.abi import flag_names
        from vmgr.dm.failure import command_name, device_words

        call = kernel.call

        def told(request: Request) -> Reply:
            words = (command_name(request), device_words(request), *flag_names(request.flags))
            self.terminal.detail(" ".join(filter(None, words)))
            return call(request)

        setattr(kernel, "call", told)  # noqa: B010 - the client looks at its kernel's class, so no wrapper around it

    def settings(self) -> ClientSettings:
        """What options and environment say about udev, the device directory and its nodes."""
        given, number = self.invocation.given, self.invocation.number
        return ClientSettings(
            self.dev_dir,
            sync=not given("noudevsync"),
            rules=not given("noudevrules"),
            verify=given("verifyudev") or not self.as_dmsetup,
            cookie=self.cookie(),
            owner=number("uid"),
            group=number("gid"),
            mode=self._mode(),
        )

    def _mode(self) -> int | None:
        text = self.invocation.text("mode")
        if text is None:
            return None
        digits = text.removeprefix("0o")
        if not digits or set(digits) - set("01234567") or not 0 < int(digits, 8) <= 0o7777:
            raise UsageError(f"{text!r} is not a file mode", hint="give it in octal, as 0660")
        return int(digits, 8)

    def cookie(self) -> int:
        """The cookie of a udev transaction to join; 0 for none. Raises :class:`UsageError`."""
        text = self.invocation.text("udevcookie")
        if text is None:
            text = self.environ.get(COOKIE_VARIABLE, "")
        return cookie_value(text) if text else 0

    # -- names ---------------------------------------------------------------------------------------

    def device(self, text: str | None = None) -> DevId:
        """The device that is meant: ``text`` (a name or a path), else ``-u UUID``, else ``-j MAJOR -m MINOR``.

        Nothing is asked of the kernel. Raises :class:`UsageError` when no device was named.
        """
        from vmgr.dm.address import by_number, by_uuid

        if text is not None:
            return self.by_text(text)
        uuid = self.invocation.text("uuid")
        if uuid is not None:
            return by_uuid(self.kernel_uuid(uuid))
        major, minor = self.invocation.number("major"), self.invocation.number("minor")
        if major is not None and minor is not None:
            return by_number(major, minor)
        raise UsageError(
            f"{self.invocation.command.name} needs a device",
            hint="give its name, or -u UUID, or -j MAJOR -m MINOR; `vmgr dm ls` lists the devices",
        )

    def named_otherwise(self) -> bool:
        """Whether a device is named by ``-u`` or by ``-j -m``."""
        return self.invocation.given("uuid") or self.invocation.given("major")

    def devices(self) -> tuple[DevId, ...]:
        """All devices that are named: by the arguments, else by ``-u`` or ``-j -m``; empty when none is."""
        if self.invocation.arguments:
            return tuple(self.by_text(text) for text in self.invocation.arguments)
        return (self.device(),) if self.named_otherwise() else ()

    def by_text(self, text: str) -> DevId:
        """The device that an argument names: its name, or a path to its node or to a link that leads there."""
        from vmgr.dm.address import by_name, by_number

        if "/" not in text:
            return by_name(self.kernel_name(text))
        directory = os.path.join(self.dev_dir, "mapper")
        if os.path.dirname(text) == directory and not os.path.exists(text):
            return by_name(os.path.basename(text))  # a device without a node
        import stat

        try:
            found = os.stat(text)
        except OSError as error:
            raise NotFound(f"{text}: {error.strerror}", hint="`vmgr dm ls` lists the devices") from None
        if not stat.S_ISBLK(found.st_mode):
            raise UsageError(f"{text} is not a block device")
        if os.path.dirname(text) == directory:
            return by_name(os.path.basename(text))
        major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
        known = f"{SYS_BLOCK}/{major}:{minor}"
        if os.path.isdir(known) and not os.path.isdir(f"{known}/dm"):
            raise NotFound(
                f"{text} ({major}:{minor}) is not one of the device mapper's devices",
                hint="`vmgr dm ls` lists the devices",
            )
        return by_number(major, minor)

    def kernel_name(self, text: str) -> str:
        """A name as the kernel has it, for one that a person typed (mangled as ``--manglename`` says)."""
        from vmgr.dm.names import mangle

        return text if self._mangled else mangle(text, self.mangling)

    def kernel_uuid(self, text: str) -> str:
        """A UUID as the kernel has it, likewise."""
        from vmgr.core.table import DM_UUID_MAX
        from vmgr.dm.names import mangle

        return text if self._mangled else mangle(text, self.mangling, limit=DM_UUID_MAX)

    def new_name(self, text: str) -> str:
        """A name that a device is to get, checked. Raises :class:`~vmgr.core.errors.InvalidName`."""
        from vmgr.dm.names import check_name

        if "/" in text:
            check_name(text)  # rather than to mangle it
        name = self.kernel_name(text)
        check_name(name)
        return name

    def new_uuid(self, text: str) -> str:
        """A UUID that a device is to get, checked. Raises :class:`~vmgr.core.errors.InvalidName`."""
        from vmgr.dm.names import check_uuid

        uuid = self.kernel_uuid(text)
        check_uuid(uuid)
        return uuid

    def shown(self, name: str) -> str:
        """A name or UUID as a person shall see it, for one of the kernel's."""
        if "\\" not in name or self._mangled or self.mangling == "none":
            return name
        from vmgr.dm.names import unmangle

        return unmangle(name)

    @property
    def mangling(self) -> Mangling:
        """How names are written for the kernel. Raises :class:`UsageError`."""
        from vmgr.dm.names import Mangling, default_mangling

        text = self.invocation.text("manglename")
        if text is None:
            return default_mangling(self.environ)
        if text.lower() not in ("auto", "hex", "none"):
            raise UsageError(f"{text!r} is no mangling mode", hint="give auto, hex or none")
        return Mangling(text.lower())

    # -- output --------------------------------------------------------------------------------------

    def emit_json(self, value: object) -> None:
        """Print one JSON value on standard output. A failure after that is said on standard error only."""
        import json

        self.terminal.document = None

        text = json.dumps(value, indent=4, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:  # a name that is no text: its bytes as \udcNN, so that what is printed is JSON
            text = json.dumps(value, indent=4)
        self.terminal.data(text + "\n")

    def warn(self, message: str) -> None:
        """Say on standard error what the user should know."""
        self.terminal.warn(message)


def cookie_value(text: str) -> int:
    """A cookie's number, in any base that C knows: decimal, 0x..., 0... . Raises :class:`UsageError`."""
    word = text.strip()
    try:
        value = int(word, 8) if len(word) > 1 and word[0] == "0" and word.isdigit() else int(word, 0)
    except ValueError:
        value = 0
    if not 0 < value < 1 << 32:
        raise UsageError(
            f"{text!r} is not a udev cookie", hint="give the number that `vmgr dm udevcreatecookie` printed"
        )
    return value
