"""``mknodes``: make the device directory agree with the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.dm.context import Context
from vmgr.core.errors import EXIT_FAILED, EXIT_OK, UsageError

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation
    from vmgr.dm.directory import NodeProblem
    from vmgr.dm.migration import Migration
    from vmgr.dm.nodes import Nodes

_PAST = {"make": "made", "move": "moved", "remove": "removed", "replace": "replaced"}
_HARMLESS = ("old-directory", "open-to-all")


def mknodes(invocation: Invocation) -> int:
    """Make missing nodes, repair wrong ones, remove stale ones; with ``--migrate`` first move the old directory."""
    from vmgr.dm.directory import repair

    dry = invocation.flag("test")
    with Context(invocation) as context:
        names = _names(context)
        client, nodes = context.client(), _nodes(context)
        migration = _migrate(context, nodes, dry) if invocation.flag("migrate") else None
        # A device without a table has a node, too, as with dmsetup.
        result = repair(client, dev_dir=context.dev_dir, names=names, tableless=True, nodes=nodes, dry=dry)
        done = result.done
        if migration is not None and dry:
            # What the move would have done already.
            moved = {step.name for step in migration.steps if step.kind in ("make", "move")}
            control = any(step.kind == "control" for step in migration.steps)
            done = tuple(p for p in done if p.name not in moved and not (control and p.kind == "control"))
        left = [problem for problem in result.left if not (migration is not None and problem.kind in _HARMLESS[:1])]
        if context.json:
            context.emit_json(_as_json(dry, migration, done, left))
        else:
            for problem in done:
                _tell(context, problem.action, dry)
        for problem in left:
            if problem.kind == "old-directory":
                context.terminal.note(problem.text)
            else:
                context.warn(problem.text)
    failed = any(problem.kind not in _HARMLESS and (problem.name or problem.kind != "foreign") for problem in left)
    return EXIT_FAILED if failed and not context.as_dmsetup else EXIT_OK


def _migrate(context: Context, nodes: Nodes, dry: bool) -> Migration:
    from vmgr.dm.directory import migrate

    if context.invocation.arguments:
        raise UsageError("--migrate moves the whole directory", hint="give no device with it")
    migration = migrate(context.client(), dev_dir=context.dev_dir, nodes=nodes, dry=dry)
    if not context.json:
        for step in migration.steps:
            _tell(context, step.words, dry)
    for text in migration.left:
        context.terminal.note(text)
    return migration


def _names(context: Context) -> tuple[str, ...]:
    """The devices that are named, as the kernel names them."""
    names = []
    for dev in context.devices():
        device = None if dev.name else context.client().info(uuid=dev.uuid, major_minor=dev.numbers)
        if device is None and not dev.name:
            raise UsageError(f"there is no device {dev}", hint="`vmgr dm ls` lists the devices")
        names.append(dev.name if device is None else device.name)
    return tuple(names)


def _nodes(context: Context) -> Nodes:
    """Nodes with the owner, group and mode that are asked for; links as udev makes them where it keeps them."""
    from vmgr.dm.nodes import MODE, Nodes
    from vmgr.dm.udev import detect

    settings = context.settings()
    nodes = Nodes(
        settings.dev_dir,
        uid=settings.owner or 0,
        gid=settings.group,
        mode=MODE if settings.mode is None else settings.mode,
    )
    nodes.beside_udev = settings.rules and detect(settings.dev_dir, context.environ) is not None
    return nodes


def _tell(context: Context, words: str, dry: bool) -> None:
    if context.as_dmsetup:
        context.terminal.detail(words)
        return
    first, _, rest = words.partition(" ")
    context.terminal.done(f"would {words}" if dry else f"{_PAST.get(first, first)} {rest}")


def _as_json(
    dry: bool, migration: Migration | None, done: tuple[NodeProblem, ...], left: list[NodeProblem]
) -> dict[str, object]:
    def problem(found: NodeProblem) -> dict[str, object]:
        return {"kind": found.kind, "path": found.path, "device": found.name or None, "text": found.text}

    value: dict[str, object] = {
        "dry_run": dry,
        "done": [{**problem(found), "action": found.action} for found in done],
        "left": [problem(found) for found in left],
    }
    if migration is not None:
        value["migration"] = {
            "steps": [{"kind": step.kind, "path": step.path, "action": step.words} for step in migration.steps],
            "left": list(migration.left),
        }
    return value


DECLARED = {
    "mknodes": Command(
        "mknodes",
        "Make missing device nodes, repair wrong ones, and remove those without a device.",
        usages=("[Device ...]", "--migrate"),
        run_alone=mknodes,
        arguments=(Argument("Device", "only these devices; all if there is none", needed=False, many=True),),
        options=(
            Option("gid", "number", "The group of nodes that are made, by number.", short="G", metavar="Number"),
            Option(
                "migrate",
                "flag",
                "First move the nodes in /dev/device-mapper, where they lay before device-mapper 0.96.04, to"
                " /dev/mapper, and make the old directory a link.",
            ),
            Option("mode", "text", "The mode of nodes that are made, in octal.", short="M", metavar="Mode"),
            Option("test", "flag", "Only say what would be done."),
            Option("uid", "number", "The owner of nodes that are made, by number.", short="U", metavar="Number"),
        ),
        changes=True,
    )
}
