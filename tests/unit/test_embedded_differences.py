"""How old and new inputs are compared, and how values travel between the engine and the stand-ins."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.embedded.aws import Aws
from stacks.embedded.cloud import Change, differing, under
from stacks.embedded.provider import hidden
from stacks.embedded.store import Store
from stacks.graph import UNKNOWN, Secret
from stacks.kubernetes_schemas import problems
from stacks.wire import decode, encode, has_unknown, revealed

# Keys that are markers on the wire are the SDK's own; whole floats come back as whole numbers.
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | st.text()
    | st.just(UNKNOWN),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
WITH_SECRETS = st.recursive(
    PLAIN | PLAIN.map(Secret),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=8), WITH_SECRETS, max_size=5)


@given(OBJECTS)
def test_what_goes_over_the_wire_comes_back(values: dict[str, Any]) -> None:
    assert decode(encode(values)) == values


@given(OBJECTS)
def test_revealed_values_hold_no_secret_and_the_same_unknowns(values: dict[str, Any]) -> None:
    assert not any(isinstance(leaf, Secret) for leaf in _leaves(revealed(values)))
    assert has_unknown(values) == any(leaf is UNKNOWN for leaf in _leaves(values))


@given(OBJECTS)
def test_what_was_a_secret_is_one_again_after_the_store_and_nothing_else_is(values: dict[str, Any]) -> None:
    assert hidden(revealed(values), values) == values


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, Secret):
        return _leaves(value.value)
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]  # pyright: ignore[reportUnknownVariableType] - JSON
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType] - JSON


@given(OBJECTS, OBJECTS)
def test_values_differ_exactly_when_a_difference_is_found(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = revealed(old), revealed(new)
    present = ({k: v for k, v in side.items() if v is not None} for side in (before, after))
    assert differing(before, before) == []
    if differing(before, after) == []:
        first, second = present
        assert _without_none(first) == _without_none(second)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}  # pyright: ignore[reportUnknownVariableType] - JSON
    return value


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 2}, [("a", "UPDATE")]),
        ({}, {"a": 2}, [("a", "ADD")]),
        ({"a": 1}, {}, [("a", "DELETE")]),
        ({"a": None}, {}, []),
        ({"a": [1, 2]}, {"a": [2, 1]}, [("a", "UPDATE")]),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 1}}, [("a.b", "UPDATE")]),
        ({}, {"a": {"b": 1}}, [("a.b", "ADD")]),
        ({"a": {}}, {}, [("a", "DELETE")]),
        ({"tags": {"a.b/c": "1"}}, {"tags": {"a.b/c": "2"}}, [('tags["a.b/c"]', "UPDATE")]),
        ({"a": 1}, {"a": UNKNOWN}, [("a", "UPDATE")]),
        ({"__defaults": ["name"]}, {"__defaults": []}, []),
    ],
)
def test_differences_are_told_as_pulumi_writes_property_paths(
    old: dict[str, Any], new: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert [(found.path, found.kind) for found in differing(old, new)] == expected


def test_a_path_is_under_itself_and_its_parents_only() -> None:
    assert under("spec", ["spec"])
    assert under("spec.selector", ["spec"])
    assert under('data["a.b"]', ["data"])
    assert not under("specs", ["spec"])
    assert not under("spec", ["spec.selector"])


@pytest.fixture
def aws(tmp_path_factory: pytest.TempPathFactory) -> Aws:
    cloud = Aws(Store(tmp_path_factory.mktemp("aws") / "cloud.sqlite"))
    cloud.configure({"region": "us-east-1"})
    return cloud


GROUP, ROLE = "aws:ec2/securityGroup:SecurityGroup", "aws:iam/role:Role"
URN = "urn:pulumi:test::fixture::aws:ec2/securityGroup:SecurityGroup::group"


def checked(aws: Aws, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    inputs, failures = aws.check(GROUP, URN, old, new, b"seed")
    assert failures == []
    return inputs


def test_a_name_that_the_cloud_made_stays_as_long_as_the_resource(aws: Aws) -> None:
    first = checked(aws, {}, {"description": "one"})
    assert first["name"].startswith("group-")
    assert checked(aws, first, {"description": "one"})["name"] == first["name"]
    assert aws.diff(GROUP, first, checked(aws, first, {"description": "one"})) == Change(())


def test_a_name_that_people_chose_and_took_back_is_made_anew(aws: Aws) -> None:
    chosen = checked(aws, {}, {"name": "chosen"})
    assert checked(aws, chosen, {})["name"] != "chosen"
    assert checked(aws, {}, {"namePrefix": "a-"})["name"].startswith("a-")


def test_the_new_one_waits_only_where_it_cannot_stand_beside_the_old_one(aws: Aws) -> None:
    made, other = checked(aws, {}, {"description": "one"}), checked(aws, {}, {"description": "two"})
    assert not aws.diff(GROUP, made, {**other, "name": made["name"]}).delete_first
    chosen = checked(aws, {}, {"name": "chosen", "description": "one"})
    assert aws.diff(GROUP, chosen, {**chosen, "description": "two"}).delete_first
    assert not aws.diff(GROUP, chosen, {**chosen, "name": "another"}).delete_first
    lock = "aws:backup/vaultLockConfiguration:VaultLockConfiguration"
    assert aws.diff(lock, {"backupVaultName": "a"}, {"backupVaultName": "a", "minRetentionDays": 7}).delete_first
    assert not aws.diff(lock, {"backupVaultName": "a"}, {"backupVaultName": "b"}).delete_first


DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "it"},
    "spec": {
        "selector": {"matchLabels": {"app": "it"}},
        "template": {
            "metadata": {"labels": {"app": "it"}},
            "spec": {"containers": [{"name": "it", "image": "example.com/it:1"}]},
        },
    },
}


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({}, []),
        ({"spec": UNKNOWN}, []),
        ({"metadata": UNKNOWN}, []),
        ({"metadata": {"name": UNKNOWN}}, []),
        ({"metadata": {}}, ["metadata.name"]),
        ({"spec": {**DEPLOYMENT["spec"], "selector": UNKNOWN}}, []),
        ({"spec": {**DEPLOYMENT["spec"], "selector": UNKNOWN, "template": None}}, ["spec"]),
        ({"spec": {**DEPLOYMENT["spec"], "replicas": "2", "paused": "no"}}, ["spec.replicas", "spec.paused"]),
        ({"kind": None}, ["kind"]),
        ({"apiVersion": "example.com/v1", "kind": "Custom", "spec": {"anything": 1}}, []),
    ],
)
def test_objects_are_checked_as_far_as_they_are_known(changes: dict[str, Any], places: list[str]) -> None:
    assert sorted(place for place, _ in problems({**DEPLOYMENT, **changes})) == sorted(places)


def test_a_reason_does_not_show_a_secret() -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "it"},
        "stringData": {"a": Secret(["staple"])},
    }
    [(place, reason)] = problems(manifest)
    assert place == "stringData.a"
    assert "staple" not in reason
