"""Chooses the physical extents for a request: free runs, allocation policies, and why something does not fit.

The policies are those of ``lvm(8)``, ALLOCATION. They are tried from the strictest one up to the one that was asked
for; each takes as much as it can get:

``contiguous``
    each area is one run; a continued area goes on where the volume ends.
``cling``
    an area stays on physical volumes that the volume is on already, then on those that share a tag of the
    configured ``cling_tag_list`` with them.
``normal``
    parallel areas lie on different physical volumes; what was begun on one goes on there if possible.
``anywhere``
    parallel areas may share a physical volume.

The order of choice is LVM2's (``lib/metadata/lv_manip.c``, ``_find_some_parallel_space``, and ``pv_map.c``),
so that both tools place the same request on the same extents; ``tests/oracle/test_allocate.py`` compares them.
What looks odd below is such an order: a free run that was tried stays shortened until the next attempt, the
runs of a physical volume are kept longest first while they shrink, and clinging looks at the *first* segment
of a volume. Lengths are those of one area; a need with three areas of ten extents asks for thirty in all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from vmgr.core.exchange import Run
from vmgr.core.model import POLICIES, PvArea
from vmgr.core.pools import FreeRun, Pool
from vmgr.core.space import effective_policy, no_space, usable_pvs
from vmgr.core.units import Extents

if TYPE_CHECKING:
    from vmgr.core.exchange import Grant, Need
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.requests import PvRange


@frozen
class AllocationRules:
    """What the configuration says about allocation (``lvm.conf``, section ``allocation``).

    ``cling_tags`` are tags without ``@``; ``*`` means any tag that two physical volumes share.
    """

    cling_tags: tuple[str, ...] = ()
    maximise_cling: bool = True


DEFAULT_RULES = AllocationRules()


# -- one need -------------------------------------------------------------------------------------

_Slot = tuple[FreeRun, int]
"""A free run and how much of it an attempt would use."""

_Row = tuple[PvArea, ...]
"""Areas side by side, equally long."""


class _Search:
    """The search for the areas of one need. ``length`` is what each area shall have."""

    def __init__(
        self,
        pools: list[Pool],
        need: Need,
        first: tuple[PvArea, ...],
        rules: AllocationRules,
        tags: Mapping[Uuid, frozenset[str]],
        approximate: bool,
    ) -> None:
        self.pools = [pool for pool in pools if pool.pv not in need.avoid]
        self.tags = tags
        self.count = need.areas
        self.length = int(need.extents)
        self.last = need.after
        # LVM2 follows a volume only where the number of its parallel areas stays the same.
        self.follows = bool(need.after) and len(need.after) == need.areas
        self.home = (first or need.after) if rules.maximise_cling else need.after
        self.rules = rules
        self.approximate = approximate
        self.done = 0
        self.given: list[_Row] = []
        # Of the attempt at hand:
        self.policy = ""
        self.positional = False
        self.to_last = False
        self.to_home = False
        self.to_given = False
        self.by_tags = False
        self.split = True
        self.slots: dict[int, FreeRun] = {}

    def run(self, policy: str, can_split: bool) -> bool:
        """Try every policy up to ``policy``; whether all was found (or something, where that is enough)."""
        if policy == "cling":
            policy = "cling_by_tags"
        for name in POLICIES[: POLICIES.index(policy) + 1]:
            if name == "cling_by_tags" and not self.rules.cling_tags:
                continue
            if not self.approximate and (self.length - self.done) * self.count > self._free():
                return False
            before = self.done
            self._one_policy(name, can_split)
            if self.done == self.length or (not can_split and self.done != before):
                break
        return self.done == self.length or (self.approximate and self.done > 0)

    def _free(self) -> int:
        return sum(run.count for pool in self.pools for run in pool.runs)

    def _one_policy(self, policy: str, can_split: bool) -> None:
        clings = policy in ("cling", "cling_by_tags")
        self.policy = policy
        self.split = can_split
        self.to_last = self.follows and policy == "contiguous"
        self.to_home = self.follows and clings
        self.to_given = clings and not self.follows
        self.by_tags = policy == "cling_by_tags"
        self.positional = self.to_last or clings
        if policy == "normal" and self.rules.maximise_cling:
            self.to_given = True
        while True:
            before = self.done
            self._attempt()
            if self.done == before:
                if self.rules.maximise_cling and self.to_home and self.positional:
                    self.positional = False
                elif policy == "normal" and self.to_given:
                    self.to_given = False
                else:
                    return
            elif self.rules.maximise_cling and policy == "normal":
                self.to_given = True
            if policy == "contiguous" or self.done == self.length or not can_split:
                return
            if self.approximate and not self._free():
                return

    def _attempt(self) -> None:
        """Find one run for each area, side by side, and take it."""
        for pool in self.pools:
            pool.reset()
        self.slots = {}
        found: list[_Slot] = []
        wanted = self.length - self.done
        while True:
            before = len(found)
            for pool in self.pools:
                if pool.runs:
                    self._look_at(pool, wanted, found)
                if self.policy == "anywhere" and len(found) + len(self.slots) >= self.count:
                    break
                if self.positional and len(self.slots) == self.count:
                    break
            if self.policy != "anywhere" or len(found) == before or len(found) >= self.count:
                break
        if self.positional:
            if len(self.slots) < self.count:
                return
            chosen = [(self.slots[i], self.slots[i].count) for i in range(self.count)]
        else:
            found.sort(key=lambda slot: -slot[1])
            if self.policy == "contiguous" and self.rules.cling_tags:
                found = self._one_of_each_tag(found)
            if len(found) < self.count:
                return
            chosen = found[: self.count]
        self._take(chosen, min(wanted, *(used for _, used in chosen)))

    def _take(self, chosen: list[_Slot], length: int) -> None:
        areas: list[PvArea] = []
        for run, _ in chosen:
            areas.append(PvArea(run.pool.pv, Extents(run.start), Extents(length)))
            run.pool.consume(run, length)
        self.given.append(tuple(areas))
        self.done += length

    def _look_at(self, pool: Pool, wanted: int, found: list[_Slot]) -> None:
        """Claim a run of ``pool`` for this attempt if the policy allows one (``anywhere``: several)."""
        have_one = False
        index = 0
        while index < len(pool.runs):
            run = pool.runs[index]
            index += 1
            if not run.left:
                continue
            if self.to_last or self.to_home or self.to_given:
                if not self._clings(run):
                    if self.to_last:
                        continue
                    return
                if self.positional:
                    return
            elif run.left < wanted and (not self.split or (have_one and self.policy != "anywhere")):
                return
            if self.policy == "anywhere" and len(found) >= self.count:
                used = 0  # enough are found already; the rest of this PV only comes after them
                index = pool.moved(run) + 1
            elif wanted >= run.left:
                used = run.left
                pool.claim(run, used)
            else:
                used = wanted
                pool.claim(run, wanted)
                index = pool.moved(run) + 1
            if have_one and self.policy != "anywhere":
                found[-1] = (run, used)
            else:
                found.append((run, used))
                have_one = True

    # -- where an area may go on ------------------------------------------------------------------

    def _clings(self, run: FreeRun) -> bool:
        """Whether ``run`` suits what the attempt clings to; a positional attempt notes for which area."""
        near = self.rules.maximise_cling and self.follows
        if (self.to_last or near) and self._match(self.last, run, self._continues):
            return True
        if self.to_last:
            return False
        if (self.to_home or near) and self._match(self.home, run, self._same_pv):
            return True
        if self.to_given and self._match_given(run, self._same_pv):
            return True
        if not self.by_tags:
            return False
        if self.follows:
            return self._match(self.home, run, self._share_tag)
        return self._match_given(run, self._share_tag)

    def _match(self, areas: Sequence[PvArea], run: FreeRun, condition: Callable[[PvArea, FreeRun], bool]) -> bool:
        for position, area in enumerate(areas):
            if self.positional and (position in self.slots or position >= self.count):
                continue
            if condition(area, run):
                if self.positional:
                    self.slots[position] = run
                return True
        return False

    def _match_given(self, run: FreeRun, condition: Callable[[PvArea, FreeRun], bool]) -> bool:
        for position in range(self.count):
            if self.positional and position in self.slots:
                continue
            if any(condition(areas[position], run) for areas in self.given):
                if self.positional:
                    self.slots[position] = run
                return True
        return False

    @staticmethod
    def _continues(area: PvArea, run: FreeRun) -> bool:
        return area.pv == run.pool.pv and area.end == run.start

    @staticmethod
    def _same_pv(area: PvArea, run: FreeRun) -> bool:
        return area.pv == run.pool.pv

    def _share_tag(self, area: PvArea, run: FreeRun) -> bool:
        return bool(self._listed(self.tags[run.pool.pv] & self.tags.get(area.pv, frozenset())))

    def _listed(self, tags: frozenset[str]) -> frozenset[str]:
        return tags if "*" in self.rules.cling_tags else tags & frozenset(self.rules.cling_tags)

    def _one_of_each_tag(self, found: list[_Slot]) -> list[_Slot]:
        """Leave out runs whose PV shares a listed tag with one before it: areas spread over the tags."""
        seen: frozenset[str] = frozenset()
        kept: list[_Slot] = []
        for slot in found:
            tags = self.tags[slot[0].pool.pv]
            if not self._listed(tags & seen):
                seen |= tags
                kept.append(slot)
        return kept


def _on_given(pools: list[Pool], need: Need, homes: list[set[Uuid]]) -> list[_Row] | None:
    """Areas for a need whose PVs are given by another role: for each the run that fits best, cut to one length."""
    given: list[_Row] = []
    done = 0
    while done < need.extents:
        wanted = int(need.extents) - done
        chosen: list[FreeRun] = []
        for home in homes:
            runs = [r for pool in pools if pool.pv in home and pool.pv not in need.avoid for r in pool.runs]
            runs = [r for r in runs if r not in chosen]
            if not runs:
                return None
            big = [r for r in runs if r.count >= wanted]
            chosen.append(min(big, key=lambda r: r.count) if big else max(runs, key=lambda r: r.count))
        length = min(wanted, *(r.count for r in chosen))
        if need.whole and length < wanted:
            return None
        given.append(tuple(PvArea(r.pool.pv, Extents(r.start), Extents(length)) for r in chosen))
        for run in chosen:
            run.pool.consume(run, length)
        done += length
    return given


# -- all needs ------------------------------------------------------------------------------------


def allocate(
    group: VolumeGroup,
    needs: Sequence[Need],
    *,
    policy: str = "inherit",
    pvs: Sequence[PvRange] = (),
    rules: AllocationRules = DEFAULT_RULES,
    approximate: bool = False,
    first: tuple[PvArea, ...] = (),
) -> Grant:
    """Free extents for ``needs``, one after the other; where it can be, those that go with a role together with it.

    ``pvs`` restricts the choice and sets its order. ``first`` are the areas of the first segment of the
    volume that is extended: clinging prefers their PVs. With ``approximate``, which takes a single need, as much as
    can be had is enough. Raises :class:`NoSpace`, whose details say of each PV why it could not help.
    """
    policy = effective_policy(group, policy)
    pools = [Pool(pv.id, free) for pv, free in usable_pvs(group, pvs)]
    tags = {pv.id: frozenset[str](pv.tags) for pv in group.pvs}
    grant: dict[str, tuple[Run, ...]] = {}

    def search(need: Need) -> list[_Row] | None:
        allowed = policy if need.distinct or need.areas == 1 else "anywhere"
        if len(needs) == 1:
            found = _Search(pools, need, first, rules, tags, approximate)
        else:
            found = _Search(pools, need, (), rules, tags, False)
        complete = found.run(allowed, can_split=not need.whole and allowed != "contiguous")
        return found.given if complete else None

    for need in needs:
        if need.role in grant:
            continue
        if not need.extents or not need.areas:
            grant[need.role] = ()
            continue
        rows: list[_Row] | None
        followers = [n for n in needs if n.with_role == need.role and n.areas == need.areas and n.extents]
        if need.with_role:
            homes = [{run.areas[i].pv for run in grant[need.with_role]} for i in range(need.areas)]
            rows = _on_given(pools, need, homes)
        elif followers:
            untouched = [pool.copy() for pool in pools]
            together = Extents.total((need.extents, *(n.extents for n in followers)))
            rows = search(evolve(need, extents=together))
            shares = _shared_out(rows, followers) if rows else None
            if shares is None:
                pools = untouched
                rows = search(need)
            else:
                for follower, row in zip(followers, shares, strict=False):
                    grant[follower.role] = (Run(row),)
                rows = shares[len(followers) :]
        else:
            rows = search(need)
        if rows is None:
            raise no_space(group, need, policy, pvs)
        grant[need.role] = tuple(Run(areas) for areas in rows)
    return {need.role: grant[need.role] for need in needs}


def _shared_out(rows: list[_Row], followers: Sequence[Need]) -> list[_Row] | None:
    """Rows found for a need and its followers together: the followers' rows from the front, then the need's own.

    None where the first row has no room for that (LVM2 puts a RAID leg's metadata before its data).
    """
    ahead = sum(int(n.extents) for n in followers)
    if int(rows[0][0].length) <= ahead:
        return None
    shares: list[_Row] = []
    row = rows[0]
    for follower in followers:
        shares.append(tuple(evolve(a, length=follower.extents) for a in row))
        row = tuple(PvArea(a.pv, a.start + follower.extents, a.length - follower.extents) for a in row)
    return [*shares, row, *rows[1:]]
