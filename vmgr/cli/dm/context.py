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
    from vmgr.dm.names import Mangling

DEV_DIR_VARIABLE = "DM_DEV_DIR"
COOKIE_VARIABLE = "DM_UDEV_COOKIE"


class DmInvocation(Invocation):
    """One run of a subcommand. ``as_dmsetup``: called through a link, so that dmsetup's ways count."""

    __slots__ = ("as_dmsetup",)

    def __init__(
        self,
        command: Command,
        arguments: tuple[str, ...],
        values: Mapping[str, object],
        terminal: Terminal,
        as_dmsetup: bool = False,
    ) -> None:
        super().__init__(command, arguments, values, terminal)
        self.as_dmsetup = as_dmsetup


class ClientSettings:
    """How a client is to be opened: ``use_udev`` None means to find out, ``cookie`` 0 means one of its own."""

    __slots__ = ("cookie", "dev_dir", "use_udev")

    def __init__(self, dev_dir: str = "/dev", use_udev: bool | None = None, cookie: int = 0) -> None:
        self.dev_dir = dev_dir
        self.use_udev = use_udev
        self.cookie = cookie


def open_client(settings: ClientSettings, warn: Callable[[str], None]) -> DmClient:
    """The client for the running kernel. The control node is opened by its first command."""
    from vmgr.dm.client import DmClient

    return DmClient.open(dev_dir=settings.dev_dir, use_udev=settings.use_udev, warn=warn)


class Context:
    """One subcommand's dealings with the kernel. ``with Context(invocation) as context`` closes the client."""

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
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
            self._client = open_client(self.settings(), self.warn)
        return self._client

    def settings(self) -> ClientSettings:
        """What options and environment say about udev and the device directory."""
        given = self.invocation.flag
        own = given("noudevsync") or given("noudevrules")
        return ClientSettings(self.dev_dir, False if own else None, self.cookie())

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
        return by_number(os.major(found.st_rdev), os.minor(found.st_rdev))

    def kernel_name(self, text: str) -> str:
        """A name as the kernel has it, for one that a person typed (mangled as ``--manglename`` says)."""
        from vmgr.dm.names import mangle

        return mangle(text, self.mangling)

    def kernel_uuid(self, text: str) -> str:
        """A UUID as the kernel has it, likewise."""
        from vmgr.core.table import DM_UUID_MAX
        from vmgr.dm.names import mangle

        return mangle(text, self.mangling, limit=DM_UUID_MAX)

    def shown(self, name: str) -> str:
        """A name or UUID as a person shall see it, for one of the kernel's."""
        if "\\" not in name or self.mangling == "none":
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
            raise UsageError(f"{text!r} is no way to mangle names", hint="give auto, hex or none")
        return Mangling(text.lower())

    # -- output --------------------------------------------------------------------------------------

    def emit_json(self, value: object) -> None:
        """Print one JSON value on standard output."""
        import json

        self.terminal.data(json.dumps(value, indent=4, ensure_ascii=False) + "\n")

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
