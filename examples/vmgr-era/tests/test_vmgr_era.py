"""The plugin keeps to the contract."""

from vmgr.registry import load_targets
from vmgr.testing.checks import FAILED, Sample, check_plugin


def test_it_keeps_to_the_contract():
    samples = [Sample("era"), Sample("era", (("erablock", 8),))]
    results = check_plugin(load_targets(), "era", samples)
    assert [result for result in results if result.outcome == FAILED] == []
