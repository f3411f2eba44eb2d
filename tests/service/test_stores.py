"""What every store does, tried on the folder and (with `--backend cluster`) on a bucket; and copies of a bucket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from fastapi import Request
from fastapi.responses import StreamingResponse
from hypothesis import given
from hypothesis import strategies as st
from tests.service.cluster import Cluster

from lipsmith.errors import RequestError
from lipsmith.service import ranges
from lipsmith.service.bucket import Bucket
from lipsmith.service.cache import Cache
from lipsmith.service.settings import ServiceSettings
from lipsmith.service.storage import Folder, Storage, StoreAway, Stored

KEY = "1/video/abc"


@pytest.fixture
def store(backend: Cluster | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    if backend is None:
        return Folder(tmp_path / "objects")
    told = backend.settings()
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    url, endpoint = told["LIPSMITH_STORE_URL"], told["LIPSMITH_STORE_ENDPOINT"]
    return Bucket(url, endpoint, tmp_path / "scratch", 10_000)


def put(store: Storage, key: str, content: bytes) -> None:
    with store.workshop("me") as folder:
        made = folder / "made"
        made.write_bytes(content)
        store.commit(made, key)
        assert not made.exists()


def test_an_object_is_what_was_committed(store: Storage) -> None:
    content = os.urandom(3_000_000)
    assert store.look(KEY) is None
    put(store, KEY, content)
    assert store.size(KEY) == len(content)
    assert store.read(KEY) == content
    assert store.piece(KEY, 5, 10) == content[5:10]
    with store.at_hand(KEY) as path:
        assert path.read_bytes() == content
        assert path.name == "abc"
    with store.open(KEY) as file:
        file.seek(-7, os.SEEK_END)
        assert file.read() == content[-7:]
        file.seek(100)
        assert file.read(50) == content[100:150]
    before = store.look(KEY)
    put(store, KEY, content[:-1])
    assert store.look(KEY) != before
    assert store.read(KEY) == content[:-1]


def test_what_is_deleted_is_gone(store: Storage) -> None:
    for key in (KEY, "1/job/7/1.mp4", "1/job/7/curves.json", "1/job/77/1.mp4"):
        put(store, key, b"x")
    assert sorted(store.keys_below("1/job/7")) == ["1/job/7/1.mp4", "1/job/7/curves.json"]
    store.delete_below("1/job/7")
    assert store.keys_below("1/job/7") == []
    assert store.exists("1/job/77/1.mp4")
    for _ in range(2):
        store.delete(KEY)
    assert not store.exists(KEY)
    for call in (
        store.read,
        store.size,
        lambda key: store.piece(key, 0, 1),
        lambda key: store.at_hand(key).__enter__(),
    ):
        with pytest.raises(FileNotFoundError):
            call(KEY)
    assert store.writable()


def test_unfinished_bytes_are_continued(store: Storage) -> None:
    there = store.unfinished(KEY)
    assert (there.size(), there.total()) == (0, None)
    there.announce(10)
    there.add(b"0123", 0)
    other = store.unfinished(KEY)  # as another process sees it
    assert (other.size(), other.total()) == (4, 10)
    other.add(b"456789", 4)
    assert not store.exists(KEY)
    store.unfinished(KEY).finish()
    assert store.read(KEY) == b"0123456789"
    assert (there.size(), there.total()) == (0, None)
    there.finish()  # nothing is left to be done
    assert store.read(KEY) == b"0123456789"


def test_forgotten_bytes_are_no_object(store: Storage) -> None:
    store.unfinished(KEY).add(b"0123", 0)
    store.delete(KEY)
    assert store.unfinished(KEY).size() == 0


def test_a_gap_is_not_counted(backend: Cluster | None, store: Storage) -> None:
    """Of two that write at once the shorter block may stay: what follows its end with a gap is sent again."""
    if backend is None:
        pytest.skip("a file has no gaps")
    there = store.unfinished(KEY)
    there.add(b"01", 0)
    there.add(b"456", 4)
    assert there.size() == 2
    there.add(b"23", 2)
    assert there.size() == 7


def test_a_store_that_is_away(tmp_path: Path) -> None:
    nowhere = Bucket("s3://b/p", "http://127.0.0.1:1", tmp_path, 1000)
    for call in (
        nowhere.look,
        nowhere.read,
        nowhere.delete,
        nowhere.keys_below,
        lambda key: nowhere.unfinished(key).size(),
    ):
        with pytest.raises(StoreAway):
            call(KEY)
    assert not nowhere.writable()


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [("gs://bucket/prefix", None), ("az://container/prefix", None), ("s3://bucket", "https://x.example")],
)
def test_every_kind_of_bucket_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, endpoint: str | None
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    Bucket(url, endpoint, tmp_path, 1000)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"DIRECT_OBJECT_URLS": "on"}, "LIPSMITH_STORE_URL"),
        ({"DIRECT_OBJECT_URLS": "on", "STORE_URL": "az://box"}, "x-ms-blob-type"),
        ({"STORE_ENDPOINT": "http://127.0.0.1:1"}, "s3://"),
        ({"STORE_URL": "bucket"}, "s3://bucket/prefix"),
        ({"SIGNING_SECRET": "short-secret"}, "32 characters"),
        ({"QUEUES": "gpu,tpu"}, "cpu, gpu"),
    ],
)
def test_settings_that_do_not_go_together(wrong: dict[str, str], says: str) -> None:
    with pytest.raises(RequestError, match=says) as told:
        ServiceSettings.from_environment({f"LIPSMITH_{name}": value for name, value in wrong.items()})
    assert "short-secret" not in str(told.value)


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        (None, 200, (0, 100)),
        ("bytes=10-19", 206, (10, 20)),
        ("bytes=10-", 206, (10, 100)),
        ("bytes=-7", 206, (93, 100)),
        ("bytes=-700", 206, (0, 100)),
        ("bytes=90-1000", 206, (90, 100)),
        ("bytes=99-99", 206, (99, 100)),
        ("bytes=100-", 416, None),
        ("bytes=100-200", 416, None),
        ("bytes=5-4", 200, (0, 100)),  # makes no sense: as if it had not been asked
        ("bytes=0-1,5-6", 200, (0, 100)),
        ("lines=1-2", 200, (0, 100)),
    ],
)
@pytest.mark.parametrize("head", [False, True])
def test_ranges_of_an_object(asked: str | None, status: int, part: tuple[int, int] | None, head: bool) -> None:
    headers = [] if asked is None else [(b"range", asked.encode())]
    request = Request({"type": "http", "headers": headers, "state": {"head": head}})
    content = bytes(range(100))
    told = ranges.answer(request, Stored(100, "v1"), lambda start, end: content[start:end], "video/mp4", {"x": "y"})
    assert (told.status_code, told.headers["etag"], told.headers["x"]) == (status, '"v1"', "y")
    if part is None:
        assert told.headers["content-range"] == "bytes */100"
        return
    assert told.headers["content-length"] == str(part[1] - part[0])
    assert told.headers.get("content-range") == (f"bytes {part[0]}-{part[1] - 1}/100" if status == 206 else None)
    assert isinstance(told, StreamingResponse) != head
    if isinstance(told, StreamingResponse):
        assert asyncio.run(all_of(told)) == content[slice(*part)]


async def all_of(answer: StreamingResponse) -> bytes:
    return b"".join([piece async for piece in answer.body_iterator])  # type: ignore[misc]


def test_a_range_of_another_version_is_the_whole() -> None:
    for version, status in (("v1", 206), ("v2", 200)):
        headers = [(b"range", b"bytes=0-1"), (b"if-range", f'"{version}"'.encode())]
        request = Request({"type": "http", "headers": headers, "state": {"head": True}})
        assert ranges.answer(request, Stored(9, "v1"), lambda *_: b"", "x/y", {}).status_code == status


def writing(content: bytes, calls: list[int]) -> Callable[[BinaryIO], None]:
    def fetch(file: BinaryIO) -> None:
        calls.append(1)
        file.write(content)

    return fetch


def test_a_copy_is_fetched_once_for_each_version(tmp_path: Path) -> None:
    cache, calls = Cache(tmp_path, 1000), []
    for version, content in (("1", b"one"), ("1", b"never"), ("2", b"two")):
        with cache.copy("a/b", version, writing(content, calls)) as path:
            assert path.read_bytes() == (b"one" if version == "1" else b"two")
    assert len(calls) == 2


def test_copies_used_longest_ago_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 250)

    def use(name: str) -> bool:
        calls: list[int] = []
        with cache.copy(name, "1", writing(bytes(100), calls)):
            time.sleep(0.02)
        return bool(calls)

    assert use("a") and use("b")
    assert not use("a")
    assert use("c")  # b goes
    assert not use("a")
    assert use("b")


def test_a_copy_in_use_stays(tmp_path: Path) -> None:
    cache, calls = Cache(tmp_path, 50), []
    with cache.copy("a", "1", writing(bytes(100), calls)) as path, cache.copy("b", "1", writing(bytes(100), calls)):
        assert path.exists()
    with cache.copy("c", "1", writing(bytes(100), calls)):
        assert not path.exists()


def test_copies_of_what_is_deleted_go(backend: Cluster | None, store: Storage, tmp_path: Path) -> None:
    if backend is None:
        pytest.skip("a folder needs no copies")
    for key in ("1/video/a", "1/video/ab"):
        put(store, key, b"secret")
        with store.at_hand(key):
            pass
    store.delete("1/video/a")
    store.forget_deleted()
    assert [path.name for path in (tmp_path / "scratch").rglob("*") if path.is_file()] == ["ab"]


def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise StoreAway("away")

    with pytest.raises(StoreAway), Cache(tmp_path, 1000).copy("a", "1", fail):
        pass
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_copy_in_use_is_not_replaced_by_another_one(tmp_path: Path) -> None:
    """Somebody fetches the same object, and has it, while another one is still fetching."""
    cache = Cache(tmp_path, 1000)
    with contextlib.ExitStack() as stack:

        def slowly(file: BinaryIO) -> None:
            stack.enter_context(cache.copy("a", "1", writing(b"all", [])))
            numbers.append(next(path for path in tmp_path.rglob("a")).stat().st_ino)
            file.write(b"all")

        numbers: list[int] = []
        with cache.copy("a", "1", slowly) as path:
            assert path.stat().st_ino == numbers[0] and path.read_bytes() == b"all"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a"]


def test_many_at_once_see_whole_copies(tmp_path: Path) -> None:
    """Of a cache that is too small for all of them, so that everybody removes what others want."""
    seen: list[bool] = []

    def use(number: int) -> None:
        for turn in range(30):
            content = str((number + turn) % 5).encode() * 1000
            with Cache(tmp_path, 2500).copy(content[:1].decode(), "1", writing(content, [])) as path:
                seen.append(path.read_bytes() == content)

    users = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert len(seen) == 120 and all(seen)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_blocks_joined_are_the_file(content: bytes, cuts: list[int]) -> None:
    """Of the folder, where a block may also be written again."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        there = Folder(Path(name)).unfinished(KEY)
        ends = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
        for start, end in zip(ends, ends[1:], strict=False):
            there.add(content[start:end], start)
            there.add(content[start:end], start)
        assert there.size() == len(content)
