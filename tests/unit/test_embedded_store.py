"""The embedded cloud's memory: shared by processes, never overwritten when it is not ours to read."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.embedded.engine import open_workspace
from stacks.embedded.store import VERSION, Store, Stored
from stacks.terminal import Exit, Refused

ROW = Stored("aws:ec2/vpc:Vpc", "vpc-1", "urn:1", {"cidrBlock": "10.0.0.0/16"}, {"arn": "arn"}, "us-east-1")


def test_what_is_written_is_read_again_by_type_id_urn_and_place(tmp_path: Path) -> None:
    store = Store(tmp_path / "cloud.sqlite")
    assert store.insert(ROW)
    again = Store(tmp_path / "cloud.sqlite")
    assert again.get(ROW.type, ROW.id, ROW.place) == ROW
    assert again.get(ROW.type, ROW.id, "eu-west-1") is None
    assert again.of_urn("urn:1") == again.all(ROW.type) == again.all() == [ROW]
    assert again.all("aws:ec2/subnet:Subnet") == []


def test_an_id_is_taken_once_and_what_is_gone_cannot_be_changed(tmp_path: Path) -> None:
    store = Store(tmp_path / "cloud.sqlite")
    assert [store.insert(ROW), store.insert(ROW)] == [True, False]
    store.remove(ROW)
    assert store.put(ROW) is False
    assert store.all() == []


def _take_names(path: Path, number: int) -> list[str]:
    store = Store(path)
    return [
        name
        for name in (f"name-{index}" for index in range(40))
        if store.insert(Stored("type", name, f"urn:{number}", {}, {}))
    ]


def test_of_several_processes_one_gets_each_name_and_each_generation(tmp_path: Path) -> None:
    path = tmp_path / "cloud.sqlite"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        taken = pool.starmap(_take_names, [(path, number) for number in range(3)])
    assert sorted(name for names in taken for name in names) == sorted(f"name-{index}" for index in range(40))
    assert [Store(path).next_generation("urn") for _ in range(3)] == [0, 1, 2]


def test_a_fault_is_used_up_by_the_operation_it_is_for(tmp_path: Path) -> None:
    store = Store(tmp_path / "cloud.sqlite")
    store.add_fault("type", "create", after=True)
    assert not store.take_fault("type", "create", after=False)
    assert not store.take_fault("type", "delete", after=True)
    assert store.take_fault("type", "create", after=True)
    assert not store.take_fault("type", "create", after=True)


def test_drift_changes_what_is_and_what_was_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path / "cloud.sqlite")
    store.insert(ROW)
    store.drift(ROW, "tags.owner", "nobody")
    changed = store.get(ROW.type, ROW.id, ROW.place)
    assert changed is not None
    assert changed.inputs == {"cidrBlock": "10.0.0.0/16", "tags": {"owner": "nobody"}}
    assert changed.outputs["tags"] == {"owner": "nobody"}
    with pytest.raises(TypeError, match="deeper"):
        store.drift(ROW, "cidrBlock.deeper", 1)


@given(st.binary(min_size=1, max_size=200))
def test_bytes_that_are_no_store_are_refused_and_kept(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("damaged") / "cloud.sqlite"
    path.write_bytes(content)
    with pytest.raises(Refused, match="kept as it is") as refusal:
        Store(path)
    assert refusal.value.code == Exit.STATE
    assert path.read_bytes() == content


def test_a_damaged_page_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "cloud.sqlite"
    store = Store(path)
    for number in range(50):
        store.insert(Stored("type", str(number), "urn", {"long": "x" * 500}, {}))
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xff" * len(content[4096 * 2 :])
    path.write_bytes(content)
    with pytest.raises(Refused, match="kept as it is") as refusal:
        Store(path).all()
    assert refusal.value.code == Exit.STATE
    assert path.read_bytes() == bytes(content)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (f"PRAGMA user_version = {VERSION + 1}", "written by a newer version of this project"),
        ("CREATE TABLE somebodys (a)", "it holds the tables of another program"),
    ],
)
def test_a_database_that_is_not_ours_to_write_is_refused_before_anything_is_made(
    tmp_path: Path, statement: str, words: str
) -> None:
    path = tmp_path / "dev" / "cloud.sqlite"
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute(statement)
    database.close()
    content = path.read_bytes()
    with pytest.raises(Refused, match=words) as refusal:
        open_workspace("dev", Path("no-pulumi-is-needed"), tmp_path)
    assert refusal.value.code == Exit.STATE
    assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["cloud.sqlite"]


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    Store(tmp_path / "cloud.sqlite")
    assert (tmp_path / "cloud.sqlite").stat().st_mode & 0o777 == 0o600


def test_values_come_from_id_outputs_and_inputs_in_this_order() -> None:
    row = Stored("t", "the-id", "u", {"a": 1, "b": 1}, {"b": 2}, "")
    assert [row.value("id"), row.value("a"), row.value("b"), row.value("c")] == ["the-id", 1, 2, None]
    assert json.loads(json.dumps(row.inputs)) == row.inputs
