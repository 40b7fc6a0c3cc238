"""The allocator: what each policy takes, in which order, and what it says when it cannot."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.support.groups import (
    TARGETS,
    a_group,
    a_pv,
    create,
    extend,
    grown_groups,
    places,
    pv_list,
    reduce,
    remove,
    uuid,
)
from vmgr.core.allocate import AllocationRules, allocate
from vmgr.core.errors import NoSpace
from vmgr.core.exchange import Need
from vmgr.core.ids import Tag
from vmgr.core.model import POLICIES, PvArea, VolumeGroup
from vmgr.core.space import effective_policy, free_runs, largest
from vmgr.core.units import Extents


def area(pv: int, start: int, length: int) -> PvArea:
    return PvArea(uuid(f"pv{pv}"), Extents(start), Extents(length))


def given_to(group: VolumeGroup, *needs: Need, **how: object) -> dict[str, list[list[tuple[str, int, int]]]]:
    """What a grant gives each role: runs of areas (PV, start, length)."""
    grant = allocate(group, needs, **how)  # type: ignore[arg-type]
    return {
        role: [[(group.pv_by_id[a.pv].device[5:], int(a.start), int(a.length)) for a in run.areas] for run in runs]
        for role, runs in grant.items()
    }


def need(extents: int, areas: int = 1, **fields: object) -> Need:
    return Need("data", areas, Extents(extents), **fields)  # type: ignore[arg-type]


def holes(*extents: int) -> VolumeGroup:
    """One PV with free runs of these lengths, in this order, each followed by one used extent."""
    group = a_group(sum(extents) + len(extents))
    for number, count in enumerate(extents):
        group = create(group, str(count), f"hole{number}", alloc="contiguous")
        group = create(group, "1", f"wall{number}", alloc="contiguous")
    for number in range(len(extents)):
        group = remove(group, f"hole{number}")
    assert [int(run.length) for run in free_runs(group, group.pvs[0])] == list(extents)
    return group


# -- free space -----------------------------------------------------------------------------------


def test_free_runs_are_the_gaps_between_areas() -> None:
    group = holes(5, 7, 3)
    assert [(int(r.start), int(r.length)) for r in free_runs(group, group.pvs[0])] == [(0, 5), (6, 7), (14, 3)]


def test_free_runs_within_ranges() -> None:
    """A range cuts runs at its ends; one run in two ranges is given twice."""
    group = holes(5, 7, 3)
    found = free_runs(group, group.pvs[0], [(3, 8), (9, 20)])
    assert [(int(r.start), int(r.length)) for r in found] == [(3, 2), (6, 3), (9, 4), (14, 3)]


@given(grown_groups())
def test_free_and_used_make_up_the_pv(group: VolumeGroup) -> None:
    for pv in group.pvs:
        extents = [e for a in (*free_runs(group, pv), *group.used[pv.id]) for e in range(int(a.start), int(a.end))]
        assert sorted(extents) == list(range(int(pv.pe_count)))


# -- one area -------------------------------------------------------------------------------------


def test_a_new_volume_goes_where_it_fits_whole_first_pv_first() -> None:
    assert given_to(a_group(10, 30), need(10)) == {"data": [[("pv0", 0, 10)]]}
    assert given_to(a_group(10, 30), need(11)) == {"data": [[("pv1", 0, 11)]]}


def test_what_fits_on_no_pv_begins_on_the_largest_run() -> None:
    assert given_to(a_group(10, 30), need(35)) == {"data": [[("pv1", 0, 30)], [("pv0", 0, 5)]]}


def test_contiguous_takes_one_run_or_nothing() -> None:
    assert given_to(a_group(10, 30), need(30), policy="contiguous") == {"data": [[("pv1", 0, 30)]]}
    with pytest.raises(NoSpace, match="'contiguous'"):
        allocate(a_group(10, 30), [need(31)], policy="contiguous")


def test_a_need_that_must_be_whole_is_not_split_by_any_policy() -> None:
    with pytest.raises(NoSpace):
        allocate(a_group(10, 30), [need(31, whole=True)], policy="anywhere")
    assert given_to(a_group(10, 30), need(30, whole=True)) == {"data": [[("pv1", 0, 30)]]}


def test_a_volume_goes_on_where_it_ends() -> None:
    """An extension is laid next to the volume although an earlier PV has room, and becomes one segment with it."""
    group = create(a_group(20, 20), "5", "a", pvs=["pv1"])
    group = extend(group, "a", "+5")
    assert places(group, "a") == [["pv1:0+10"]]


def test_an_extension_stays_on_its_pv_before_it_goes_to_another() -> None:
    group = create(a_group(40, 20), "5", "a", pvs=["pv1"])
    group = create(group, "5", "b", pvs=["pv1"])
    group = extend(group, "a", "+5")
    assert places(group, "a") == [["pv1:0+5"], ["pv1:10+5"]]
    group = extend(group, "a", "+8")
    assert places(group, "a") == [["pv1:0+5"], ["pv1:10+10"], ["pv0:0+3"]]


def test_cling_refuses_another_pv() -> None:
    group = create(a_group(40, 20), "5", "a", pvs=["pv1"])
    with pytest.raises(NoSpace) as caught:
        extend(group, "a", "+16", alloc="cling")
    assert "/dev/pv0: 40 free extents, but the volume is not on it (policy cling)" in caught.value.details
    assert "it fits with --alloc normal" in caught.value.hint


def test_cling_of_a_new_volume_stays_on_one_pv() -> None:
    """Even in two runs; but not on two PVs."""
    group = holes(5, 7)
    group = evolve(group, pvs=(*group.pvs, a_pv(1, 8)))
    assert places(create(group, "12", "a", alloc="cling", pvs=["pv0"]), "a") == [["pv0:6+7"], ["pv0:0+5"]]
    with pytest.raises(NoSpace):
        create(group, "16", "a", alloc="cling")


def test_cling_follows_tags() -> None:
    """With a tag list, cling goes on to a PV that shares a listed tag, and to no other."""
    group = a_group(10, 20, 20)
    tags = (Tag("fast"),), (Tag("slow"),), (Tag("fast"), Tag("new"))
    group = evolve(group, pvs=tuple(evolve(pv, tags=t) for pv, t in zip(group.pvs, tags, strict=True)))
    group = create(group, "10", "a", pvs=["pv0"])
    last = group.lv_by_name["a"].segments[-1].body.areas
    ask = need(5, after=last)
    for cling in (("fast",), ("*",)):
        rules = AllocationRules(cling_tags=cling)
        assert given_to(group, ask, policy="cling", rules=rules) == {"data": [[("pv2", 0, 5)]]}
    with pytest.raises(NoSpace):
        allocate(group, [ask], policy="cling", rules=AllocationRules(cling_tags=("new",)))


def test_normal_prefers_tags_to_the_first_pv() -> None:
    group = a_group(10, 20, 20)
    group = evolve(group, pvs=tuple(evolve(pv, tags=(Tag(t),)) for pv, t in zip(group.pvs, "aba", strict=True)))
    group = create(group, "10", "a", pvs=["pv0"])
    ask = need(5, after=group.lv_by_name["a"].segments[-1].body.areas)
    assert given_to(group, ask, rules=AllocationRules(cling_tags=("a",))) == {"data": [[("pv2", 0, 5)]]}
    assert given_to(group, ask) == {"data": [[("pv1", 0, 5)]]}


def test_of_equal_runs_the_one_is_taken_that_lvm2_takes() -> None:
    """The last one if they fit exactly, else the first."""
    assert given_to(holes(5, 5, 5), need(5)) == {"data": [[("pv0", 12, 5)]]}
    assert given_to(holes(5, 5, 5), need(3)) == {"data": [[("pv0", 0, 3)]]}


def test_of_longer_runs_the_one_is_taken_that_lvm2_takes() -> None:
    """Each run that would do gives way to a shorter one, but only to those behind where it would stand when cut."""
    assert given_to(holes(10, 3, 2), need(2)) == {"data": [[("pv0", 11, 2)]]}
    assert given_to(holes(10, 9, 6), need(4)) == {"data": [[("pv0", 0, 4)]]}


def test_a_volume_clings_to_the_pvs_of_its_first_segment() -> None:
    """LVM2 looks no further; without ``maximise_cling`` it looks at the last segment instead."""
    group = create(a_group(10, 10, 30), "10", "a", pvs=["pv0"])
    group = extend(group, "a", "+5", pvs=["pv1"])
    group = create(group, "1", "b", pvs=["pv1:5"])
    group = reduce(group, "a", "9")
    group = create(group, "1", "c", pvs=["pv0:9"])
    group = extend(group, "a", "+1", pvs=["pv1:8"])
    group = remove(group, "c")
    ask = need(1, after=group.lv_by_name["a"].segments[-1].body.areas)
    first = group.lv_by_name["a"].segments[0].body.areas
    assert places(group, "a") == [["pv0:0+9"], ["pv1:8+1"]]
    group = create(group, "1", "d", pvs=["pv1:9"])
    assert given_to(group, ask, policy="cling", first=first) == {"data": [[("pv0", 9, 1)]]}
    rules = AllocationRules(maximise_cling=False)
    assert given_to(group, ask, policy="cling", first=first, rules=rules) == {"data": [[("pv1", 0, 1)]]}


# -- several areas --------------------------------------------------------------------------------


def test_parallel_areas_lie_on_different_pvs() -> None:
    assert given_to(a_group(10, 10, 10), need(5, 3)) == {"data": [[("pv0", 0, 5), ("pv1", 0, 5), ("pv2", 0, 5)]]}
    with pytest.raises(NoSpace, match="3 physical volumes are needed side by side, and there are 2"):
        allocate(a_group(10, 10), [need(1, 3)])


def test_anywhere_lets_parallel_areas_share_a_pv() -> None:
    assert given_to(a_group(10), need(3, 3), policy="anywhere") == {
        "data": [[("pv0", 0, 3), ("pv0", 3, 3), ("pv0", 6, 3)]]
    }


def test_areas_that_need_not_be_distinct_may_share_a_pv() -> None:
    assert given_to(a_group(10), need(5, 2, distinct=False)) == {"data": [[("pv0", 0, 5), ("pv0", 5, 5)]]}


def test_unequal_pvs_are_used_in_several_rows() -> None:
    """The longest runs first, as far as the shorter of them goes; then what is longest now."""
    found = given_to(a_group(10, 6, 8), need(10, 2))
    assert found == {"data": [[("pv0", 0, 8), ("pv2", 0, 8)], [("pv0", 8, 2), ("pv1", 0, 2)]]}


def test_each_stripe_goes_on_on_its_own_pv() -> None:
    group = create(a_group(10, 10, 10), "4", "a", stripes=2, pvs=["pv2", "pv1"])
    assert places(group, "a") == [["pv2:0+2", "pv1:0+2"]]
    group = extend(group, "a", "+4")
    assert places(group, "a") == [["pv2:0+4", "pv1:0+4"]]


# -- restrictions ---------------------------------------------------------------------------------


def test_listed_pvs_are_used_in_the_order_of_the_list() -> None:
    group = a_group(10, 10, 10)
    assert given_to(group, need(10), pvs=pv_list(group, "pv2", "pv0")) == {"data": [[("pv2", 0, 10)]]}
    with pytest.raises(NoSpace):
        allocate(group, [need(21)], pvs=pv_list(group, "pv2", "pv0"))


def test_only_listed_extents_are_used() -> None:
    group = a_group(100)
    assert given_to(group, need(5), pvs=pv_list(group, "pv0:50-59")) == {"data": [[("pv0", 50, 5)]]}
    with pytest.raises(NoSpace):
        allocate(group, [need(11)], pvs=pv_list(group, "pv0:50-59"))


def test_missing_and_unallocatable_pvs_are_left_alone() -> None:
    group = a_group(10, 10, 10)
    pvs = (evolve(group.pvs[0], status=()), evolve(group.pvs[1], flags=("MISSING",)), group.pvs[2])
    group = evolve(group, pvs=pvs)
    assert given_to(group, need(10)) == {"data": [[("pv2", 0, 10)]]}
    with pytest.raises(NoSpace) as caught:
        allocate(group, [need(11)])
    assert caught.value.details == (
        "/dev/pv0: not allocatable (pvchange -x y allows it)",
        "/dev/pv1: missing",
        "/dev/pv2: 10 free extents: 11 are needed",
    )


def test_pvs_to_avoid_are_avoided() -> None:
    group = a_group(10, 10)
    assert given_to(group, need(5, avoid=(uuid("pv0"),))) == {"data": [[("pv1", 0, 5)]]}
    with pytest.raises(NoSpace):
        allocate(group, [need(11, avoid=(uuid("pv0"),))], policy="anywhere")


# -- several needs --------------------------------------------------------------------------------


def test_a_role_can_go_with_another() -> None:
    """What goes with a role is found together with it, and lies before it."""
    legs = Need("legs", 2, Extents(10))
    log = Need("log", 2, Extents(1), with_role="legs", whole=True)
    found = given_to(a_group(10, 20, 30), legs, log)
    assert found == {"legs": [[("pv1", 1, 10), ("pv2", 1, 10)]], "log": [[("pv1", 0, 1), ("pv2", 0, 1)]]}
    with pytest.raises(NoSpace):
        allocate(a_group(10, 12), [legs, log])


def test_a_role_goes_with_another_in_runs_of_its_own() -> None:
    """Where no run holds both, what goes with a role takes another run of the same PV."""
    group = holes(5, 2)
    group = evolve(group, pvs=(*group.pvs, a_pv(1, 8)))
    data = Need("data", 2, Extents(5), whole=True)
    meta = Need("meta", 2, Extents(2), with_role="data", whole=True)
    found = given_to(group, data, meta)
    assert sorted(found["data"][0]) == [("pv0", 0, 5), ("pv1", 0, 5)]
    assert sorted(found["meta"][0]) == [("pv0", 6, 2), ("pv1", 5, 2)]


def test_fewer_areas_go_with_the_first_of_a_role() -> None:
    legs = Need("legs", 2, Extents(10))
    log = Need("log", 1, Extents(1), with_role="legs", whole=True)
    found = given_to(a_group(11, 12), legs, log)
    assert found == {"legs": [[("pv0", 0, 10), ("pv1", 0, 10)]], "log": [[("pv0", 10, 1)]]}


def test_needs_do_not_get_the_same_extents() -> None:
    found = given_to(a_group(20), Need("a", 1, Extents(5)), Need("b", 1, Extents(5)))
    assert found == {"a": [[("pv0", 0, 5)]], "b": [[("pv0", 5, 5)]]}


def test_an_empty_need_is_granted_nothing() -> None:
    assert given_to(a_group(5), need(0)) == {"data": []}


# -- as much as there is --------------------------------------------------------------------------


def test_approximately_takes_what_there_is() -> None:
    assert given_to(a_group(10, 5), need(100), approximate=True) == {"data": [[("pv0", 0, 10)], [("pv1", 0, 5)]]}
    assert given_to(a_group(10, 5), need(100, 2), approximate=True) == {"data": [[("pv0", 0, 5), ("pv1", 0, 5)]]}


def test_approximately_nothing_is_nothing() -> None:
    with pytest.raises(NoSpace):
        allocate(create(a_group(5), "5"), [need(1)], approximate=True)


# -- properties -----------------------------------------------------------------------------------


@given(
    grown_groups(),
    st.integers(1, 30),
    st.integers(1, 3),
    st.sampled_from([p for p in POLICIES if p != "cling_by_tags"]),
    st.booleans(),
)
def test_whatever_is_granted_is_free_and_fits_the_need(
    group: VolumeGroup, extents: int, areas: int, policy: str, approximate: bool
) -> None:
    """Granted extents are free, granted once, in rows of equal areas, on PVs that the policy allows."""
    try:
        grant = allocate(group, [need(extents, areas)], policy=policy, approximate=approximate)
    except NoSpace:
        return
    runs = grant["data"]
    total = sum(int(run.extents) for run in runs)
    assert total == extents or (approximate and 0 < total < extents)
    free = {(pv.id, e) for pv in group.pvs for r in free_runs(group, pv) for e in range(int(r.start), int(r.end))}
    for run in runs:
        assert len(run.areas) == areas
        assert len({a.length for a in run.areas}) == 1
        if effective_policy(group, policy) != "anywhere":
            assert len({a.pv for a in run.areas}) == areas
        for a in run.areas:
            extents_of_area = {(a.pv, e) for e in range(int(a.start), int(a.end))}
            assert extents_of_area <= free
            free -= extents_of_area
    if effective_policy(group, policy) == "contiguous":
        assert len(runs) == 1


@given(grown_groups(), st.integers(1, 30), st.integers(1, 3))
def test_a_laxer_policy_never_finds_less(group: VolumeGroup, extents: int, areas: int) -> None:
    """What fits with a policy fits with normal or anywhere as well, if it is stricter than these."""

    def fits(policy: str) -> bool:
        try:
            allocate(group, [need(extents, areas)], policy=policy)
        except NoSpace:
            return False
        return True

    if fits("contiguous") or fits("cling"):
        assert fits("normal")


@given(grown_groups(), st.integers(1, 60))
def test_one_area_fits_normally_if_there_are_extents_enough(group: VolumeGroup, extents: int) -> None:
    """A linear volume fits exactly when the free extents suffice."""
    try:
        allocate(group, [need(extents)], policy="normal")
        fits = True
    except NoSpace:
        fits = False
    assert fits == (extents <= int(group.free))


# -- the largest that fits ------------------------------------------------------------------------


@given(st.integers(0, 100), st.integers(1, 100), st.integers(1, 7))
def test_the_largest_is_found(limit: int, below: int, step: int) -> None:
    expected = max((n for n in range(0, below, step) if n <= limit), default=0)
    assert largest(lambda n: n <= limit, below, step) == expected


def test_a_refusal_names_the_largest_size_that_fits() -> None:
    with pytest.raises(NoSpace) as caught:
        create(a_group(10, 6, 8), "100", "a", stripes=2)
    assert "the largest size that fits is" in caught.value.hint
    size = caught.value.hint.split("(")[1].split()[0]
    assert create(a_group(10, 6, 8), size, "a", stripes=2).lv_by_name["a"].size == int(size)
    with pytest.raises(NoSpace):
        create(a_group(10, 6, 8), str(int(size) + 2), "a", stripes=2)


@given(grown_groups(), st.integers(1, 3), st.sampled_from(("contiguous", "cling", "normal")))
def test_the_size_in_the_hint_does_fit(group: VolumeGroup, stripes: int, alloc: str) -> None:
    """It is found by trying, so it is right whatever the group looks like."""
    if stripes > len(group.pvs):
        return
    with pytest.raises(NoSpace) as caught:
        create(group, "500", "new", stripes=stripes, alloc=alloc)
    assert len(caught.value.details) == len(group.pvs)
    if "largest size" in caught.value.hint:
        size = caught.value.hint.split("(")[1].split()[0]
        create(group, size, "new", stripes=stripes, alloc=alloc)


def test_targets_for_tests_are_complete() -> None:
    assert [info.name for info in TARGETS.infos()] == ["linear", "striped", "snapshot", "pair"]
