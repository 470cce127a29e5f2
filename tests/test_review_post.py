"""The comment on a pull request: one, updated in place, by a token that nobody sees. Against a real local server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bedplate.problems import BedplateError
from bedplate.review.escape import receipt
from bedplate.review.post import link_maker, post, summarise

TOKEN = "token-of-the-test"
GITHUB, GITLAB = "/repos/shop/agents/issues", "/projects/shop%2Fagents/merge_requests/7/notes"


@dataclass
class Platform:
    """Plays the parts of both APIs that comments need. `refuse` is the status of every write, `app` hides `/user`."""

    me: str = "reviewer"
    app: bool = False
    refuse: int = 0
    page: int = 100
    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def add(self, author: str, body: str) -> None:
        user = {"login": author, "id": author}
        self.comments.append({"id": len(self.comments) + 1, "body": body, "user": user, "author": user})

    def answer(self, method: str, target: str, body: Any, token: str) -> tuple[int, Any]:
        self.asked.append(f"{method} {target}")
        url = urlsplit(target)
        if token != TOKEN:
            return 401, {}
        if url.path == "/user":
            return (403, {}) if self.app else (200, {"login": self.me, "id": self.me})
        if method == "GET":
            page = int(parse_qs(url.query)["page"][0])
            size = int(parse_qs(url.query)["per_page"][0])
            return 200, self.comments[(page - 1) * size : page * size]
        if self.refuse:
            return self.refuse, {"message": "Resource not accessible by integration"}
        return self._write(method, url.path, body)

    def _write(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method == "POST" and path in (f"{GITHUB}/7/comments", GITLAB):
            self.add("github-actions[bot]" if self.app else self.me, body["body"])
            return 201, self.comments[-1]
        number = int(path.rpartition("/")[2])
        if (method, path) not in (("PATCH", f"{GITHUB}/comments/{number}"), ("PUT", f"{GITLAB}/{number}")):
            return 404, {}
        self.comments[number - 1]["body"] = body["body"]
        return 200, self.comments[number - 1]


@pytest.fixture
def platform() -> Iterator[Platform]:
    found = Platform()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length") or 0))
            token = self.headers.get("private-token") or (self.headers.get("authorization") or "").removeprefix(
                "Bearer "
            )
            status, answer = found.answer(self.command, self.path, json.loads(data or b"null"), token)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_PUT = _do

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["github", "gitlab"])
def environment(request: pytest.FixtureRequest, platform: Platform, tmp_path: Path) -> dict[str, str]:
    """What the CI of each platform sets in a pull request's job."""
    if request.param == "gitlab":
        given = {"CI_API_V4_URL": platform.url, "CI_PROJECT_ID": "shop/agents", "CI_MERGE_REQUEST_IID": "7"}
        return {**given, "BEDPLATE_GITLAB_TOKEN": TOKEN}
    return github(platform, tmp_path)


def github(platform: Platform, folder: Path) -> dict[str, str]:
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    given = {"GITHUB_API_URL": platform.url, "GITHUB_REPOSITORY": "shop/agents", "GITHUB_TOKEN": TOKEN}
    return {**given, "GITHUB_EVENT_PATH": str(event)}


def text(said: str, file: str = "agent.yaml") -> str:
    return f"{receipt({'file': file})}\n{said}\n"


def test_the_comment_is_written_once_and_then_updated(platform: Platform, environment: dict[str, str]) -> None:
    """Three runs leave one comment, with what the last one said."""
    for said in ("first", "second", "third"):
        assert post(text(said), "agent.yaml", environment).address
    assert [c["body"] for c in platform.comments] == [text("third")]


def test_only_its_own_comment_is_touched(platform: Platform, environment: dict[str, str]) -> None:
    """A comment that others wrote with the same marker stays, and so does one of ours about something else."""
    platform.add("mallory", text("forged"))
    platform.add(platform.me, "hello")
    platform.add(platform.me, f"> quoted {text('x')}")
    post(text("ours"), "agent.yaml", environment)
    assert [c["body"] for c in platform.comments] == [text("forged"), "hello", f"> quoted {text('x')}", text("ours")]


def test_each_manifest_has_its_comment(platform: Platform, environment: dict[str, str]) -> None:
    """Two agents of one repository do not overwrite each other's comment."""
    for file in ("a/agent.yaml", "b/agent.yaml", "a/agent.yaml"):
        post(text(f"of {file}", file), file, environment)
    assert [c["body"] for c in platform.comments] == [
        text("of a/agent.yaml", "a/agent.yaml"),
        text("of b/agent.yaml", "b/agent.yaml"),
    ]


def test_it_is_found_behind_many_others(platform: Platform, environment: dict[str, str]) -> None:
    """The earlier comment is found on the third page."""
    for number in range(230):
        platform.add("someone", f"remark {number}")
    for said in ("one", "two"):
        post(text(said), "agent.yaml", environment)
    assert [c["body"] for c in platform.comments[230:]] == [text("two")]


def test_the_token_of_an_action_may_not_ask_who_it_is(platform: Platform, tmp_path: Path) -> None:
    """Where /user is refused the comments of GitHub Actions are its own, and those of a person are not."""
    platform.app = True
    platform.add("mallory", text("forged"))
    for said in ("one", "two"):
        post(text(said), "agent.yaml", github(platform, tmp_path))
    assert [c["body"] for c in platform.comments] == [text("forged"), text("two")]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_is_told_and_the_summary_gets_the_text(
    platform: Platform, environment: dict[str, str], tmp_path: Path, status: int
) -> None:
    """A fork's token may not write: the reason is said without the token, and the job's summary has the comment."""
    platform.refuse = status
    posted = post(text("x"), "agent.yaml", environment)
    assert (posted.address, str(status) in posted.refused) == ("", True)
    assert TOKEN not in posted.refused
    summary = tmp_path / "summary.md"
    assert summarise(text("x"), {"GITHUB_STEP_SUMMARY": str(summary)})
    assert summary.read_text() == text("x")
    assert not summarise(text("x"), {})


def test_a_platform_that_is_not_there_is_told(platform: Platform, tmp_path: Path) -> None:
    """A connection that is refused, and an answer that is no list of comments, are told and raise nothing."""
    gone = {**github(platform, tmp_path), "GITHUB_API_URL": "http://127.0.0.1:1"}
    assert "did not answer" in post(text("x"), "agent.yaml", gone).refused
    platform.comments = {"message": "maintenance"}  # type: ignore[assignment]
    assert post(text("x"), "agent.yaml", github(platform, tmp_path)).refused


def test_a_run_without_a_token_is_told(platform: Platform, environment: dict[str, str]) -> None:
    """A fork's pipeline has no token: that is a refusal like another, and nothing is asked of the platform."""
    given = {name: value for name, value in environment.items() if not name.endswith("TOKEN")}
    assert "TOKEN is not set" in post(text("x"), "agent.yaml", given).refused
    assert not platform.asked


@pytest.mark.parametrize("missing", ["GITHUB_REPOSITORY", "GITHUB_EVENT_PATH"])
def test_outside_of_a_pull_request_it_says_what_is_missing(platform: Platform, tmp_path: Path, missing: str) -> None:
    """A variable that is not set is BP796 with its name, before anything is written."""
    given = {name: value for name, value in github(platform, tmp_path).items() if name != missing}
    with pytest.raises(BedplateError) as error:
        post(text("x"), "agent.yaml", given)
    assert (error.value.problems[0].code, missing in error.value.problems[0].summary) == ("BP796", True)
    assert not platform.comments


def test_the_token_goes_to_https_only(platform: Platform, tmp_path: Path) -> None:
    """An address that is neither https nor this machine is BP796, and is sent nothing."""
    given = {**github(platform, tmp_path), "GITHUB_API_URL": "http://api.example.com"}
    with pytest.raises(BedplateError) as error:
        post(text("x"), "agent.yaml", given)
    assert error.value.problems[0].code == "BP796"
    assert not platform.asked


def test_lines_are_linked_where_the_server_is_known() -> None:
    """Links lead to the line at the head commit; names of files cannot break out of them."""
    github = link_maker({"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "a/b"}, "c0ffee", "agents/x/")
    assert github("agent.yaml:31") == "https://github.com/a/b/blob/c0ffee/agents/x/agent.yaml#L31"
    assert github("a) [x](y:31") == "https://github.com/a/b/blob/c0ffee/agents/x/a%29%20%5Bx%5D%28y#L31"
    assert github("agent.yaml") == ""
    gitlab = link_maker({"CI_PROJECT_URL": "https://gitlab.example.com/a/b"}, "c0ffee", "")
    assert gitlab("agent.yaml:3") == "https://gitlab.example.com/a/b/-/blob/c0ffee/agent.yaml#L3"
    assert link_maker({}, "c0ffee", "")("agent.yaml:3") == ""
