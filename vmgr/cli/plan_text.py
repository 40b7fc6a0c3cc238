"""Plans for people and for programs: what ``--test`` prints. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.naming import dm_name, dm_uuid, split_dm_uuid
from vmgr.core.table import PvRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vmgr.cli.document import Json
    from vmgr.core.change import Change
    from vmgr.core.model import VolumeGroup
    from vmgr.core.phases import Plan
    from vmgr.core.step import Step
    from vmgr.core.table import DevRef
    from vmgr.core.targets import Targets


def plan_text(plan: Plan, targets: Targets) -> str:
    """A plan in lines: a summary, what changes in the metadata, then the steps in order, with their tables."""
    name = _name(plan)
    lines = [summary(plan)]
    changes = metadata_difference(plan, targets)
    if changes:
        lines.append("  metadata:")
        lines += [f"    {line}" for line in changes]
    elif name:
        lines.append("  metadata: no change")
    if plan.steps:
        lines.append("  steps:")
    commit_at = plan.commit_at
    for number, step in enumerate(plan.steps):
        mark = "   <- from here on the change is final" if number == commit_at else ""
        lines.append(f"    {number + 1:2}. {step}{mark}")
        lines += [f"          {line}" for line in table_lines(plan, step)]
    return "".join(f"  {line}\n" for line in lines)


_MOST = 3
"""How many things a summary names before it counts the rest."""

_KINDS = {"lv": "logical volume", "vg": "volume group", "pv": "physical volume", "device": "device", "file": "file"}


def summary(plan: Plan) -> str:
    """One line: what would be done, in how many steps, and from which sequence number to which."""
    from vmgr.core.effects import effects

    name = _name(plan)
    groups = f"volume group{'s' if len(plan.changes) > 1 else ''} {name}"
    where = f"Plan for {groups}" if name else "Plan"
    if not plan.steps:
        return f"{where}: nothing to do"
    words = [f"{_KINDS[e.kind]} {e.name} {e.action}" for e in effects(plan)]
    what = ", ".join(words[:_MOST])
    if len(words) > _MOST:
        what += f" and {len(words) - _MOST} more"
    seqno = ""
    if len(plan.changes) == 1:
        before, after = plan.changes[0].before, plan.changes[0].after
        seqno = f" (seqno {before.seqno} to {after.seqno})" if before and after and before != after else ""
    count = len(plan.steps)
    return f"{where}: {what or 'no change'}{seqno}, in {count} step{'s' if count > 1 else ''}"


def plan_json(plan: Plan, targets: Targets) -> dict[str, Json]:
    """A plan as values for JSON."""
    before = _texts((change.before for change in plan.changes), targets)
    after = _texts((change.after for change in plan.changes), targets)
    steps: list[dict[str, Json]] = []
    for step in plan.steps:
        entry: dict[str, Json] = {"step": type(step).__name__, "text": str(step)}
        table = table_lines(plan, step)
        if table:
            entry["table"] = table
        steps.append(entry)
    changed = any(change.changes_metadata for change in plan.changes)
    return {
        "vg_name": _name(plan) or None,
        "summary": summary(plan),
        "metadata": {"before": before, "after": after} if changed else None,
        "commit_at": plan.commit_at,
        "steps": steps,
    }


def metadata_difference(plan: Plan, targets: Targets) -> list[str]:
    """The lines of metadata text that go (``-``), come (``+``) or say where these are."""
    return [line for change in plan.changes for line in _difference(change, targets)]


def _difference(change: Change, targets: Targets) -> list[str]:
    from difflib import unified_diff

    before, after = change.before, change.after
    if before == after:
        return []
    old = (_text(before, targets) or "").splitlines()
    new = (_text(after, targets) or "").splitlines()
    if before is None or after is None:
        return [f"{'+' if before is None else '-'}{line.rstrip()}" for line in (new or old) if line.strip()]
    return [line.rstrip() for line in unified_diff(old, new, lineterm="", n=2)][2:]


def table_lines(plan: Plan, step: Step) -> list[str]:
    """The table that a step loads, references shown as names."""
    if not step.loads:
        return []
    resolve = _resolver(plan)
    return [f"{line.start} {line.length} {line.target} {line.params(resolve)}".rstrip() for line in step.loads]


def _name(plan: Plan) -> str:
    groups = (change.after or change.before for change in plan.changes)
    return ", ".join(group.name for group in groups if group is not None)


def _resolver(plan: Plan) -> Callable[[PvRef | DevRef], str]:
    each = [group for change in plan.changes for group in (change.after, change.before)]
    groups = [group for group in each if group is not None]
    names = {device.uuid: device.name for step in plan.steps for device in step.names}

    def resolve(ref: PvRef | DevRef) -> str:
        for group in groups:
            if isinstance(ref, PvRef):
                pv = group.pv_by_id.get(ref.pv)
                if pv is not None:
                    return pv.device
            elif ref.uuid not in names:
                name = _device_name(group, ref.uuid)
                if name:
                    return name
        return ref.pv.dashed if isinstance(ref, PvRef) else f"/dev/mapper/{names.get(ref.uuid, ref.uuid)}"

    return resolve


def _device_name(group: VolumeGroup, uuid: str) -> str:
    parts = split_dm_uuid(uuid)
    if parts is None or parts[0] != group.id:
        return ""
    for lv in group.lvs:
        if dm_uuid(group.id, lv.id) == uuid[:68]:
            return f"/dev/mapper/{dm_name(group.name, lv.name, parts[2])}"
    return ""


def _texts(groups: Iterable[VolumeGroup | None], targets: Targets) -> str | None:
    """The metadata of all ``groups`` that are there, one after the other; None if none is."""
    found = [text for group in groups if (text := _text(group, targets)) is not None]
    return "\n".join(found) if found else None


def _text(group: VolumeGroup | None, targets: Targets) -> str | None:
    """The group's metadata without what stands at its head (time, host and so on)."""
    if group is None:
        return None
    from vmgr.ondisk.codec import TextHeader, encode_group

    header = TextHeader("", "", 0, "", "", "")
    text = encode_group(group, targets, header, backup=True)
    start = text.find(f"{group.name} {{")
    return text[start:] if start >= 0 else text
