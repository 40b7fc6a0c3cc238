"""``module``: the kernel's module, its parameters, and the major number of device-mapper devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Command, Option
from vmgr.cli.dm.context import Context
from vmgr.core.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation
    from vmgr.dm.module import ModuleState

AUTO = "auto"
_STATES = {
    "built-in": "built into the kernel",
    "loaded": "loaded",
    "available": "available, not loaded",
    "absent": "absent",
}


def module(invocation: Invocation) -> int:
    """Show the module, load it, or set its major for the next boot."""
    from vmgr.dm.module import configure_module, load_module, module_state

    major = _major(invocation)
    write = invocation.flag("write")
    load = invocation.flag("load") or (major is not None and not write)
    if write and not invocation.given("major"):
        raise UsageError("--write needs --major", hint=f"give a number, or {AUTO} for the kernel's choice")
    if invocation.given("major") and major is None and not write:
        raise UsageError(f"--major {AUTO} needs --write", hint="it takes back what --write has set")
    dry = invocation.flag("test")
    with Context(invocation) as context:
        before = module_state()
        written = loaded = False
        if write:
            written = configure_module(major, dry=dry)
        if load:
            loaded = _load(major, before) if dry else load_module(major).state != before.state
        state = before if dry else module_state()
        if context.json:
            value = _as_json(state)
            if load or write:
                value.update(dry_run=dry, loaded_now=loaded, written=written)
            context.emit_json({"module": value})
        elif not (load or write):
            context.terminal.data(_text(state))
        if write:
            _tell_written(context, major, written, dry)
        if load:
            _tell_loaded(context, state, major, loaded, dry)
        if write and major is not None and state.major not in (None, major):
            context.terminal.note(f"until the next boot the major is {state.major}")
    return EXIT_OK


def _major(invocation: Invocation) -> int | None:
    text = invocation.text("major")
    if text is None or text == AUTO:
        return None
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{text!r} is not a major number", hint=f"give a number, or {AUTO}")
    from vmgr.dm.module import check_major

    return check_major(int(text))


def _load(major: int | None, state: ModuleState) -> bool:
    """Whether a load would load; raises what it would raise beforehand."""
    from vmgr.dm.module import absent, problem_with

    if not state.present:
        raise absent(state)
    problem = problem_with(major, state) if major is not None else None
    if problem is not None:
        raise problem
    return state.state == "available"


def _tell_written(context: Context, major: int | None, written: bool, dry: bool) -> None:
    from vmgr.dm.module import HERE

    say = context.terminal.done
    if not written:
        say(f"nothing to write: {HERE.config} is {'not there' if major is None else 'as it should be'}")
        return
    if major is None:
        say(f"{'would remove' if dry else 'removed'} {HERE.config}: the kernel chooses the major at the next boot")
    else:
        say(f"{'would write' if dry else 'wrote'} {HERE.config}: the major is {major} from the next boot on")
    context.terminal.note("if the initramfs loads the module, rebuild it (update-initramfs -u, or dracut -f)")


def _tell_loaded(context: Context, state: ModuleState, major: int | None, loaded: bool, dry: bool) -> None:
    if dry:
        words = "" if major is None else f" with major {major}"
        context.terminal.done(f"would load dm_mod{words}" if loaded else "nothing to load")
        return
    how = "loaded" if loaded else _STATES[state.state] if state.state == "built-in" else "loaded already"
    context.terminal.done(f"dm_mod is {how}, with major {state.major}")
    configured = state.configured
    if major is not None and state.state == "loaded" and (configured is None or configured.value != str(major)):
        context.terminal.note(f"for this boot only; `vmgr dm module --major {major} --write` makes it last")


def _text(state: ModuleState) -> str:
    """The state for a person."""
    lines = [
        f"Module:     dm_mod, {_STATES[state.state]}",
        f"Kernel:     {state.release}",
    ]
    if state.file:
        lines.append(f"File:       {state.file}")
    if state.major is not None:
        lines.append(f"Major:      {state.major}")
    if state.state in ("loaded", "available") or state.settings:
        configured = state.configured
        next_time = f"{configured.value}, from {configured.place}" if configured else "the kernel's choice"
        lines.append(f"Next load:  major {next_time}" if configured else f"Next load:  {next_time}")
    for setting in state.settings:
        if setting.kind == "install":
            lines.append(f"Attention:  {setting.place} loads it by its own command: {setting.value}")
        elif setting.kind == "blacklist":
            lines.append(f"Attention:  {setting.place} keeps it from being loaded by its aliases")
    values = dict(state.values)
    if state.known or values:
        lines.append("Parameters:")
        texts = {parameter.name: parameter.text for parameter in state.known}
        names = sorted({*texts, *values})
        width = max(len(name) for name in names)
        for name in names:
            value = values.get(name, str(state.major or "") if name == "major" else "")
            lines.append(f"  {name:<{width}}  {value or '-':>6}  {texts.get(name, '')}".rstrip())
    return "".join(line + "\n" for line in lines)


def _as_json(state: ModuleState) -> dict[str, object]:
    values = dict(state.values)
    known = {parameter.name: parameter for parameter in state.known}
    configured = state.configured
    return {
        "name": "dm_mod",
        "state": state.state,
        "kernel": state.release,
        "file": state.file or None,
        "major": state.major,
        "next_load": {"major": configured.value, "from": configured.place} if configured else None,
        "settings": [
            {"kind": setting.kind, "value": setting.value, "from": setting.place} for setting in state.settings
        ],
        "parameters": [
            {
                "name": name,
                "value": values.get(name),
                "type": known[name].kind if name in known else "",
                "help": known[name].text if name in known else "",
            }
            for name in sorted({*known, *values})
        ],
    }


DECLARED = {
    "module": Command(
        "module",
        "Show the device mapper's kernel module, load it, or fix the major number of its devices.",
        usages=("", "--load", "--major Number [--load] [--write]", "--major auto --write"),
        run_alone=module,
        options=(
            Option("load", "flag", "Load the module. With --major alone this is what is done."),
            Option(
                "major",
                "text",
                "The block major number that devices shall have: 1 to 511, and no other driver's. Without --write"
                " the module is loaded with it; if it is loaded already with another, that is said and nothing is"
                " done.",
                metavar="Number|auto",
            ),
            Option("test", "flag", "Only say what would be done."),
            Option(
                "write",
                "flag",
                "Write the number into /etc/modprobe.d for the next boot; auto takes it back. Where the device"
                " mapper is built in, the kernel's command line has to say dm_mod.major=Number instead.",
            ),
        ),
        changes=True,
    )
}
