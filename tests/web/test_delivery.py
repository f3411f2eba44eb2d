"""How the page is handed out: policy, caching, size, and what it leaves alone."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest
from tests.service.conftest import Server

MOST_GZIPPED_BYTES = 250_000


@pytest.mark.parametrize("path", ["/", "/shots/1", "/takes", "/takes/7", "/voices", "/projects"])
def test_page_routes_answer_the_page_with_a_strict_policy(server: Server, path: str) -> None:
    answer = httpx.get(server.base + path)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    nonce = re.search(r"'nonce-([^']+)'", policy)
    assert nonce and nonce[1] in answer.text
    assert answer.headers["cache-control"] == "no-cache"


def test_each_answer_has_a_nonce_of_its_own(server: Server) -> None:
    policies = {httpx.get(server.base).headers["content-security-policy"] for _ in range(2)}
    assert len(policies) == 2


def test_assets_may_be_kept_for_ever(server: Server, page_folder: Path) -> None:
    for asset in (page_folder / "assets").iterdir():
        answer = httpx.get(f"{server.base}/assets/{asset.name}")
        assert answer.content == asset.read_bytes()
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/nothing", "/assets/nothing.js", "/assets/..%2findex.html", "/v1/nothing", "/files/x"]
)
def test_other_paths_are_never_the_page(server: Server, path: str) -> None:
    answer = httpx.get(server.base + path, headers={"x-api-key": server.key})
    assert answer.status_code in (403, 404)
    assert answer.headers["content-type"] == "application/json"


def test_first_load_is_small(page_folder: Path) -> None:
    files = [page_folder / "index.html", *(page_folder / "assets").iterdir()]
    assert sum(len(gzip.compress(file.read_bytes(), 6)) for file in files) <= MOST_GZIPPED_BYTES


def test_page_points_at_no_other_host(page_folder: Path) -> None:
    loaded = re.findall(r'(?:src|href)="([^"]+)"', (page_folder / "index.html").read_text())
    assert loaded and all(address.startswith("/") and not address.startswith("//") for address in loaded)
