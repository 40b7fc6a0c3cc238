"""A stage for command-line tests: an application that only records, and plugins that are nobody's."""

from __future__ import annotations

import sys
from types import ModuleType, TracebackType

from vmgr.cli.main import main
from vmgr.core.effects import Effect
from vmgr.core.hooks import KernelTarget, OptionSpec, TargetInfo, hookimpl
from vmgr.core.targets import Targets
from vmgr.core.view import SystemView
from vmgr.outcome import Outcome
from vmgr.system.config import Config


class Toy:
    """A target that declares options and can do nothing."""

    @hookimpl
    def target_info(self):
        return TargetInfo(
            "toy",
            "A target for tests.",
            ("toy",),
            frozenset(),
            (),
            (KernelTarget("toy"),),
            types=("toy", "twin"),
            options=(
                OptionSpec("stripes", "number", "How many.", ("lvcreate", "lvextend"), short="i", metavar="N"),
                OptionSpec("stripesize", "size", "How large.", ("lvcreate",), short="I", default_unit="k"),
                OptionSpec("snapshot", "flag", "A snapshot.", ("lvcreate",), short="s"),
                OptionSpec("merge", "flag", "Merge it.", ("lvconvert",)),
                OptionSpec("mode", "word", "A mode.", ("lvcreate", "lvconvert"), choices=("fast", "slow")),
                OptionSpec("discards", "yesno", "Whether.", ("lvcreate",)),
            ),
        )

    @hookimpl
    def decode_segment(self):
        return None

    @hookimpl
    def encode_segment(self):
        raise AssertionError

    @hookimpl
    def segment_lines(self):
        raise AssertionError


class Recorder:
    """An application that notes what it is asked, and answers with ``outcome``."""

    def __init__(self, outcome: Outcome = Outcome(), error: BaseException | None = None) -> None:  # noqa: B008
        self.calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []
        self.targets = Targets([("toy", Toy())])
        self.config = Config(dev_dir="/dev")
        self.outcome = outcome
        self.error = error
        self.options = None
        self.dialogue = None
        self.open = False
        self.answers: list[bool] = []
        self.questions: tuple[str, ...] = ()
        self.effects: tuple[Effect, ...] = ()

    def __enter__(self):
        self.open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self.open = False

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)

        def method(*args: object, **kwargs: object) -> object:
            assert self.open
            self.calls.append((name, args, kwargs))
            for question in self.questions:
                self.answers.append(self.dialogue.ask(question))
            if self.error is not None:
                raise self.error
            return self.outcome

        return method

    def view(self, **kwargs: object) -> SystemView:
        self.calls.append(("view", (), kwargs))
        return SystemView()

    def live(self, **kwargs: object) -> dict[str, object]:
        return {}

    def changed(self) -> tuple[Effect, ...]:
        return self.effects

    def archives(self, vg: str = "", file: str = "") -> tuple[()]:
        self.calls.append(("archives", (vg, file), {}))
        return ()

    # -- running ----------------------------------------------------------------------------------

    def install(self, monkeypatch) -> Recorder:
        """Put this in the place of vmgr's own application and plugins."""

        def open_application(options, dialogue, targets=None):
            self.options, self.dialogue = options, dialogue
            return self

        module = ModuleType("vmgr.app")
        module.open_application = open_application  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "vmgr.app", module)
        monkeypatch.setattr("vmgr.registry.load_targets", lambda warn=None: self.targets)
        return self

    def run(self, *words: str) -> int:
        """Run a command line."""
        return main(["vmgr", *words])

    @property
    def call(self) -> tuple[str, tuple[object, ...], dict[str, object]]:
        """The only call."""
        assert len(self.calls) == 1, self.calls
        return self.calls[0]
