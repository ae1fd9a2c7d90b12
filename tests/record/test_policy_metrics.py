from proxy.record.policy_metrics import PolicyMetrics, ReloadCounts


def test_the_version_in_force_is_the_only_one_shown() -> None:
    policy = PolicyMetrics()
    policy.loaded("v1", 1.0)
    policy.loaded("v2", 2.5)
    info, loaded = policy.collect()
    assert [(sample.labels, sample.value) for sample in info.samples] == [({"version": "v2"}, 1)]
    assert loaded.samples[0].value == 2.5


def test_reloads_count_by_result() -> None:
    counts = ReloadCounts()
    counts.succeeded, counts.failed = 3, 2
    (family,) = counts.collect()
    assert {sample.labels["result"]: sample.value for sample in family.samples} == {
        "success": 3,
        "failure": 2,
    }
