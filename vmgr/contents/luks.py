"""An encrypted container (LUKS): its mapping is resized with the volume, its content with the mapping."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vmgr.contents.content import Content
from vmgr.contents.job import Job, Manner, Task
from vmgr.contents.tools import need, run
from vmgr.core.errors import Refused, VmgrError
from vmgr.core.units import Bytes

if TYPE_CHECKING:
    from vmgr.core.table import LiveDevice


class Luks(Content):
    """The container at ``path``, open as ``mapping``, whose ``length`` bytes begin at byte ``offset``.

    ``inner`` is its content, None if nothing was recognised. ``keyring``: the kernel has the volume's key in a
    keyring, so cryptsetup needs a passphrase or a token to load another table.
    """

    def __init__(
        self,
        path: str,
        number: tuple[int, int],
        mapping: LiveDevice,
        length: Bytes,
        offset: Bytes,
        inner: Content | None,
        *,
        keyring: bool,
    ) -> None:
        super().__init__("crypto_LUKS", path, number, Bytes(int(offset) + int(length)))
        self.mapping = mapping
        self.offset = offset
        self.inner = inner
        self.keyring = keyring
        self._secret: str | None = None

    @property
    def described(self) -> str:
        """A noun phrase for messages."""
        return f"the LUKS container on {self.path}"

    def growing(self, size: Bytes, manner: Manner) -> Job:
        """Grow it with ``cryptsetup resize``, then its content."""
        inside = self._inside(size)
        inner = self.inner.growing(inside, manner) if self.inner is not None else Job(inside)
        self._unlock(manner)
        opened = self._resized(None)
        return Job(size, inner.before, (opened, *inner.after), inner.moves)

    def shrinking(self, size: Bytes, manner: Manner) -> Job:
        """Shrink its content, then the container with ``cryptsetup resize``."""
        inside = self._inside(size)
        if self.inner is None:
            raise Refused(
                f"{self.described} holds nothing that vmgr knows, so it may be in use to its end",
                hint="nothing was changed; shrink it yourself with `cryptsetup resize --size`, and use --fs ignore",
            )
        fits = self.inner.end is not None and self.inner.end <= inside
        inner = Job(inside) if fits else self.inner.shrinking(inside, manner)
        self._unlock(manner)
        return Job(size, (*inner.before, self._resized(inside)), moves=inner.moves)

    def _inside(self, size: Bytes) -> Bytes:
        if size <= self.offset:
            raise Refused(f"{self.described} needs {int(self.offset) >> 20} MiB for its header alone")
        return Bytes(int(size) - int(self.offset))

    def _resized(self, inside: Bytes | None) -> Task:
        words = ["resize", self.mapping.name]
        words += ["--size", str(int(inside) // 512)] if inside is not None else []
        return Task(f"cryptsetup {' '.join(words)}", partial(self._run, *words))

    def _run(self, *words: str) -> None:
        if self._secret is None:
            run("cryptsetup", "-q", *words)
        else:
            run("cryptsetup", "-q", "--key-file", "-", *words, secret=self._secret)

    def _unlock(self, manner: Manner) -> None:
        """Make sure that cryptsetup will get a valid key, asking for a passphrase. Raises :class:`Refused`."""
        need("cryptsetup")
        if not self.keyring:
            return
        test = ("open", "--test-passphrase", self.path)
        try:
            run("cryptsetup", "-q", "--token-only", *test)
            return
        except VmgrError:
            pass  # no token opens it
        self._secret = manner.dialogue.secret(f"Passphrase for {self.path}: ")
        if not self._secret:
            raise Refused(
                f"cryptsetup needs a passphrase to resize {self.described}, but there is no terminal to ask for it",
                hint="nothing was changed; run the command in a terminal",
            )
        try:
            run("cryptsetup", "-q", "--key-file", "-", *test, secret=self._secret)
        except VmgrError as error:
            raise Refused(
                f"the passphrase does not open {self.described}",
                hint="nothing was changed; try again",
                details=error.details,
            ) from None
