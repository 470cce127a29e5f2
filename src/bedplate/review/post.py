"""The comment on the pull request, written or updated in place.

Goes in: a comment, and the variables that GitHub Actions or GitLab CI set. Comes out: the comment's address, or why it
could not be posted, which is told and never changes what the review found. The token is sent to the platform's own API
and stands nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from bedplate.problems import BedplateError, ExitCode, Problem
from bedplate.review.escape import read_receipt

if TYPE_CHECKING:
    import httpx2

_PAGE = 100
_MOST_PAGES = 100
_SECONDS = 20.0
_ACTIONS = "github-actions[bot]"
"""Who writes with the token of GitHub Actions, which may not ask who it is."""
_SUMMARY_LIMIT = 1024 * 1024
"""Bytes of a step's summary on GitHub."""
Environment = Mapping[str, str]


@dataclass(frozen=True)
class Posted:
    """What became of it: `address` of the comment, or why there is none."""

    address: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Thread:
    """A pull request's comments on one platform. `own` tells one of ours by its author."""

    client: httpx2.Client
    comments: str
    one: str
    update: str
    own: Callable[[Mapping[str, Any]], bool]

    def post(self, text: str, file: str) -> str:
        """Update our comment on this manifest, or write the first one. Raises httpx2.HTTPStatusError."""
        found = next((c for c in self._all() if self.own(c) and _is_on(c, file)), None)
        if found is None:
            answer = self.client.post(self.comments, json={"body": text})
        else:
            address = self.one.format(id=int(found["id"]))
            answer = self.client.request(self.update, address, json={"body": text})
        answer.raise_for_status()
        written = answer.json()
        return str(written.get("html_url") or written["id"])

    def _all(self) -> Iterator[Mapping[str, Any]]:
        for page in range(1, _MOST_PAGES + 1):
            answer = self.client.get(self.comments, params={"per_page": _PAGE, "page": page})
            answer.raise_for_status()
            found = answer.json()
            yield from found
            if len(found) < _PAGE:
                return


def _is_on(comment: Mapping[str, Any], file: str) -> bool:
    found = read_receipt(str(comment.get("body") or ""))
    return found is not None and found.get("file") == file


def post(text: str, file: str, environment: Environment) -> Posted:
    """Post a comment on the manifest `file`. Raises BP796 where the platform's variables are not set."""
    import httpx2

    on_gitlab = bool(environment.get("CI_API_V4_URL"))
    opened, name = (_gitlab, "BEDPLATE_GITLAB_TOKEN") if on_gitlab else (_github, "GITHUB_TOKEN")
    token = environment.get(name)
    if not token:
        return Posted(refused=f"{name} is not set, as in the run of a fork's change")
    with _client(environment, token, on_gitlab) as client:
        try:
            return Posted(opened(client, environment).post(text, file))
        except httpx2.HTTPStatusError as error:
            return Posted(refused=_refusal(error.response.status_code, environment))
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            return Posted(refused=f"{_host(environment)} did not answer as its API does ({type(error).__name__})")


def summarise(text: str, environment: Environment) -> bool:
    """Append the comment to the job's summary, where the platform has one; whether it has."""
    path = environment.get("GITHUB_STEP_SUMMARY")
    if path and len(text.encode()) < _SUMMARY_LIMIT:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
    return bool(path)


def _client(environment: Environment, token: str, on_gitlab: bool) -> httpx2.Client:
    import httpx2

    address = _api(environment)
    url = urlsplit(address)
    local = url.hostname in ("127.0.0.1", "::1", "localhost")
    if url.scheme != "https" and not (url.scheme == "http" and local):
        fix = "the token is sent to https addresses only"
        raise BedplateError(Problem("BP796", f"the API's address {url.scheme}://{url.hostname} is not https", fix=fix))
    github = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
    headers = {"PRIVATE-TOKEN": token} if on_gitlab else {**github, "X-GitHub-Api-Version": "2022-11-28"}
    # A redirect is not followed: it would carry the token to wherever it points.
    return httpx2.Client(base_url=address, headers=headers, timeout=_SECONDS, trust_env=not local)


def _api(environment: Environment) -> str:
    return environment.get("CI_API_V4_URL") or environment.get("GITHUB_API_URL") or "https://api.github.com"


def _host(environment: Environment) -> str:
    return urlsplit(_api(environment)).hostname or "the platform"


def _github(client: httpx2.Client, environment: Environment) -> Thread:
    repository = _needed(environment, "GITHUB_REPOSITORY")
    author = environment.get("BEDPLATE_COMMENT_AUTHOR") or _github_login(client)
    base = f"repos/{quote(repository)}/issues"
    return Thread(
        client,
        comments=f"{base}/{_pull_request(environment)}/comments",
        one=f"{base}/comments/{{id}}",
        update="PATCH",
        own=lambda comment: (comment.get("user") or {}).get("login") == author,
    )


def _github_login(client: httpx2.Client) -> str:
    """Whose token it is. That of GitHub Actions is refused an answer, which tells as much."""
    answer = client.get("user")
    if answer.status_code in (401, 403):
        return _ACTIONS
    answer.raise_for_status()
    return str(answer.json()["login"])


def _pull_request(environment: Environment) -> int:
    path = _needed(environment, "GITHUB_EVENT_PATH")
    try:
        event = json.loads(Path(path).read_text("utf-8"))
        return int((event.get("pull_request") or event.get("issue") or {})["number"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        fix = "post from a workflow that runs on pull_request"
        raise BedplateError(Problem("BP796", "the event of this run is no pull request's", fix=fix)) from error


def _gitlab(client: httpx2.Client, environment: Environment) -> Thread:
    project, number = _needed(environment, "CI_PROJECT_ID"), _needed(environment, "CI_MERGE_REQUEST_IID")
    answer = client.get("user")
    answer.raise_for_status()
    me = answer.json()["id"]
    notes = f"projects/{quote(project, safe='')}/merge_requests/{quote(number, safe='')}/notes"
    return Thread(
        client,
        comments=notes,
        one=f"{notes}/{{id}}",
        update="PUT",
        own=lambda note: (note.get("author") or {}).get("id") == me,
    )


def _needed(environment: Environment, name: str) -> str:
    value = environment.get(name)
    if not value:
        fix = "run it in a pull request's CI job (`bedplate ci init` writes one), or leave --post out"
        raise BedplateError(Problem("BP796", f"--post needs {name}", fix=fix), exit_code=ExitCode.USAGE)
    return value


def _refusal(status: int, environment: Environment) -> str:
    host = _host(environment)
    if status in (401, 403, 404):
        return f"{host} refused the comment ({status}): the token may not write here, as that of a fork's run"
    return f"{host} answered {status}"


def link_maker(environment: Environment, commit: str, folder: str) -> Callable[[str], str]:
    """Addresses of `FILE:LINE` at a commit, where the platform's variables tell its server; else ""."""
    server, repository = environment.get("GITHUB_SERVER_URL", ""), environment.get("GITHUB_REPOSITORY", "")
    start = f"{server}/{quote(repository)}/blob" if server and repository else ""
    if project := environment.get("CI_PROJECT_URL"):
        start = f"{project}/-/blob"

    def address(where: str) -> str:
        file, _, line = where.rpartition(":")
        if not start.startswith("https://") or not commit or not line.isdigit():
            return ""
        return f"{start}/{commit}/{quote(folder + file)}#L{line}"

    return address
