"""What a person is told on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.terminal import Terminal
from vmgr.core.errors import InUse

if TYPE_CHECKING:
    import pytest


def test_a_detail_that_ends_the_message_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The message about a busy device ends with its first holder, which is among the details, too."""
    details = ("mounted on /a", "open in process 7 (dd)")
    Terminal().error(InUse("remove x: it is in use: mounted on /a", details=details, hint="unmount it"))
    assert capsys.readouterr().err.splitlines() == [
        "  remove x: it is in use: mounted on /a",
        "    open in process 7 (dd)",
        "  (unmount it)",
    ]


def test_details_that_the_message_does_not_have_are_all_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is lost of an error whose message stands for itself."""
    Terminal().error(InUse("it is in use", details=("mounted on /a", "mounted on /b")))
    assert capsys.readouterr().err.splitlines() == ["  it is in use", "    mounted on /a", "    mounted on /b"]
