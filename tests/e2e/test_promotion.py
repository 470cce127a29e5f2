"""Three local stages, promoted in order; every refusal has its case."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bedplate.release.records import ReleaseLog
from cli_support import COMMAND, Ran, bedplate, ok, pids_of

MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {name: shop}
intent: product
model: bedplate:extractive
instructions: {file: prompt.md}
data:
  - {name: docs, type: files, path: docs}
tools:
  - {name: docs, type: search, use: docs, scopes: [{read: "public/*"}]}
memory:
  sessions: {store: auto, retention: 30d, per: user}
  longTerm: {store: auto, retention: 365d, per: user}
evals:
  - name: faq
    dataset: evals/faq.yaml
    gates: [{metric: contains, min: 0.9}]
  - name: pull
    dataset: evals/faq.yaml
    runOn: [pullRequest]
    gates: [{metric: contains, min: 0.9}]
tracing: {sink: auto}
stages:
  prototype: {target: local}
  staging: {target: local, from: prototype, limits: {tokens: 30000}}
  prod: {target: local, from: staging, approvals: {minimum: 2}}
"""
DATASET = """\
cases:
  - name: refunds
    inputs: How long do refunds take?
    expected_output: fourteen days
    evaluators: [{Contains: {value: fourteen days}}]
"""
FILES = {
    "agent.yaml": MANIFEST,
    "prompt.md": "Answer from the documents.\n",
    "docs/public/refunds.md": "# Refunds\n\nRefunds take fourteen days after the parcel has come back.\n",
    "docs/inner/prices.md": "# Prices\n\nThe margin on a parcel is nine percent of its price.\n",
    "evals/faq.yaml": DATASET,
}
WIDER = MANIFEST.replace('"public/*"', '"*"')


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Path]:
    """A project of three stages; whatever is up is taken away afterwards."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    yield tmp_path
    for stage in ("prod", "staging", "prototype"):
        bedplate(tmp_path, "destroy", "--stage", stage, "--yes")
    assert not pids_of(tmp_path)


def promote(folder: Path, stage: str, *options: str) -> Ran:
    return bedplate(folder, "promote", stage, "--json", *options)


def codes(ran: Ran) -> list[str]:
    return [problem["code"] for problem in ran.json.get("problems", ())]


def build_in(folder: Path, stage: str) -> str:
    """The build that a stage runs."""
    return str(json.loads(bedplate(folder, "status", "--stage", stage, "--json").out)["build"])


def released(folder: Path, stage: str, number: str = "last") -> dict[str, Any]:
    found: dict[str, Any] = ok(folder, "history", "show", number, "--stage", stage, "--json").json
    return found


def test_one_build_goes_through_three_stages_in_order(shop: Path) -> None:
    """The build that prototype released reaches staging and then prod unchanged, though the working tree moved on."""
    ok(shop, "up")
    build = build_in(shop, "prototype")
    (shop / "agent.yaml").write_text("this: [is broken\n")
    (shop / "docs/public/refunds.md").unlink()
    first = promote(shop, "staging")
    assert first.code == 0, first.out + first.err
    plan = first.json["release"]["plan"]
    assert {d["path"]: d["new"] for d in plan["origin"]["differs"]} == {"limits.tokens": "30000"}
    assert [suite["suite"] for suite in first.json["suites"]] == ["faq"]
    assert promote(shop, "prod").code == 0
    assert {build_in(shop, stage) for stage in ("prototype", "staging", "prod")} == {build}
    record = released(shop, "prod")
    assert (record["build"], record["fromStage"], record["status"]) == (build, "staging", "applied")
    assert [suite["outcome"] for suite in record["evals"] if suite["suite"] == "faq"] == ["PASS"]
    (shop / "agent.yaml").write_text(MANIFEST)
    answer = ok(shop, "ask", "How long do refunds take?", "--stage", "prod", "--json")
    assert "fourteen days" in answer.json["output"]


def test_what_cannot_be_promoted_is_refused(shop: Path) -> None:
    """Out of order, unknown, first stage, direct `up`: each is refused with its own code, and nothing is left."""
    assert codes(promote(shop, "staging")) == ["BP780"]
    assert codes(promote(shop, "prototype")) == ["BP781"]
    assert codes(promote(shop, "stagign")) == ["BP115"]
    assert codes(bedplate(shop, "up", "--stage", "staging", "--json")) == ["BP782"]
    ok(shop, "up")
    assert codes(promote(shop, "prod")) == ["BP780"]
    assert codes(promote(shop, "staging", "--override", "no")) == ["BP783"]
    assert sorted(p.name for p in (shop / ".bedplate").iterdir() if p.name[0] not in "._") == ["prototype"]


def test_a_failing_gate_stops_and_an_override_is_recorded(shop: Path) -> None:
    """A gate that fails for the target exits 4 and changes nothing; with a reason it goes on, and says so."""
    (shop / "evals/faq.yaml").write_text(DATASET.replace("fourteen days", "sixty days"))
    ok(shop, "up")
    stopped = promote(shop, "staging")
    assert (stopped.code, stopped.json["release"]) == (4, None)
    assert "eval faq fails" in stopped.json["plan"]["verdict"]["line"]
    assert build_in(shop, "staging") == ""
    assert not list((shop / ".bedplate").glob("_gates*"))
    reason = "The dataset is wrong, see the incident"
    gone_on = bedplate(shop, "promote", "staging", "--override", reason)
    assert gone_on.code == 0, gone_on.err
    assert "OVERRIDE" in gone_on.err
    assert released(shop, "staging")["override"] == reason
    assert reason in ok(shop, "history", "show", "last", "--stage", "staging").out


def test_wider_access_waits_for_its_approvals(shop: Path) -> None:
    """Wider access exits 3; one approval is not two; an expired one and one for another stage count nothing."""
    ok(shop, "up")
    assert promote(shop, "staging").code == 0
    assert promote(shop, "prod").code == 0
    (shop / "agent.yaml").write_text(WIDER)
    ok(shop, "up")
    waiting = promote(shop, "staging")
    assert waiting.code == 3, waiting.out
    (finding,) = waiting.json["plan"]["access"]["findings"]
    assert (finding["effect"], finding["subject"], finding["object"], finding["id"]) == ("wider", "docs", "*", "A1")
    assert finding["witness"]
    agree = ("--reason", "Support needs the prices", "--expires", "30d")
    ok(shop, "approve", "A1", "--stage", "staging", "--as", "ada", *agree)
    assert promote(shop, "staging").code == 0
    assert released(shop, "staging")["approvals"]
    assert promote(shop, "prod").code == 3, "an approval for staging is none for prod"
    ok(shop, "approve", "A1", "--stage", "prod", "--as", "ada", *agree)
    assert promote(shop, "prod").code == 3, "prod asks for two"
    ok(shop, "approve", "A1", "--stage", "prod", "--as", "bob", *agree)
    second = next((shop / "approvals/prod").glob("*bob*"))
    text = second.read_text()
    second.write_text(text.replace(released_year(text), "2020"))
    assert promote(shop, "prod").code in {1, 3}, "an approval that was given and ended in 2020 counts for nothing"
    second.write_text(text)
    assert promote(shop, "prod").code == 0


def released_year(text: str) -> str:
    """The year in which an approval was given."""
    line = next(line for line in text.splitlines() if line.startswith("approved:"))
    return line.split('"')[1][:4]


def test_a_stale_plan_is_refused_and_says_what_moved(shop: Path) -> None:
    """A receipt applies what it says; after an edit it is refused with exit 7 and names what changed."""
    plan = bedplate(shop, "plan", "--out", "plan.json")
    assert plan.code == 2, plan.err
    ok(shop, "up", "--plan", "plan.json")
    stale = bedplate(shop, "up", "--plan", "plan.json")
    assert stale.code == 7
    (shop / "prompt.md").write_text("Answer briefly.\n")
    bedplate(shop, "plan", "--out", "plan.json")
    (shop / "prompt.md").write_text("Answer very briefly.\n")
    moved = bedplate(shop, "up", "--plan", "plan.json")
    assert moved.code == 7
    assert "prompt.md changed" in moved.err
    assert bedplate(shop, "promote", "staging", "--out", "promotion.json").code == 2
    ok(shop, "up")
    assert promote(shop, "staging", "--plan", "promotion.json").code == 7


TAMPERED = {
    "a release's record": (".bedplate/prototype/releases.jsonl", "BP770"),
    "a file of the build": (".bedplate/_builds/trees/*/docs/public/refunds.md", "BP760"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_is_not_promoted(shop: Path, what: str) -> None:
    """A changed record and a changed build stop a promotion with the code that names them, override or not."""
    ok(shop, "up")
    pattern, code = TAMPERED[what]
    (path,) = shop.glob(pattern)
    path.chmod(0o600)
    path.write_text(path.read_text().replace("fourteen", "sixteen").replace('"applied"', '"Applied"'))
    assert code in codes(promote(shop, "staging"))
    assert code in codes(promote(shop, "staging", "--override", "It is urgent, believe me"))


def test_of_two_promotions_at_once_one_is_refused(shop: Path) -> None:
    """While one promotion is under way another one of the same stage exits 6; the first one is not disturbed."""
    ok(shop, "up")
    first = subprocess.Popen([*COMMAND, "promote", "staging", "--json"], cwd=shop, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while not (shop / ".bedplate/staging/releases.lock").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second = promote(shop, "staging")
    out, _ = first.communicate(timeout=120)
    assert (second.code, first.returncode) == (6, 0), second.out + out
    assert len(ok(shop, "history", "--stage", "staging", "--json").json["releases"]) == 1


def test_a_killed_promotion_is_recorded_and_leaves_nothing_in_the_way(shop: Path) -> None:
    """kill -9 in the middle of a promotion: the next one cleans up, finishes, and the history shows both."""
    ok(shop, "up")
    killed = subprocess.Popen([*COMMAND, "promote", "staging", "--json"], cwd=shop, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not list((shop / ".bedplate").glob("_gates-staging/run/supervisor.pid")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.kill()
    killed.wait(timeout=20)
    again = promote(shop, "staging")
    assert again.code == 0, again.out
    assert not list((shop / ".bedplate").glob("_gates*"))


def test_a_script_is_not_promoted(tmp_path: Path) -> None:
    """A script names no stage to promote to, and `promote` says why."""
    text = (
        "apiVersion: bedplate.dev/v1\nkind: Agent\nmetadata: {name: tool}\nintent: script\n"
        "model: bedplate:extractive\ninstructions: Answer.\n"
        "stages:\n  prototype: {target: local}\n  prod: {target: local, from: prototype}\n"
    )
    (tmp_path / "agent.yaml").write_text(text)
    assert codes(promote(tmp_path, "prod")) == ["BP117"]


def test_what_a_pull_request_approved_is_approved_at_the_promotion(shop: Path) -> None:
    """An approval of a finding of the review against the deployed revision lets the promotion pass later."""
    for command in ("init -q", "add -A", "-c user.name=ada -c user.email=ada@example.com commit -qm base"):
        subprocess.run(["git", *command.split()], cwd=shop, check=True)
    ok(shop, "up")
    assert promote(shop, "staging").code == 0
    (shop / "agent.yaml").write_text(WIDER)
    review = bedplate(shop, "review", "--base", "HEAD", "--working-tree", "--json")
    assert review.code == 3, review.out + review.err
    agree = ("--stage", "staging", "--base", "HEAD", "--as", "ada", "--reason", "Support needs it", "--expires", "9d")
    ok(shop, "approve", "A1", *agree)
    ok(shop, "up")
    done = promote(shop, "staging")
    assert done.code == 0, done.out
    assert [a["approver"] for a in done.json["plan"]["access"]["approvals"]] == ["ada"]


def test_a_change_cannot_abolish_its_own_approval(shop: Path) -> None:
    """Wider access with `minimum: 0`, or without `from`, waits for approval, in review and in the stage."""
    for command in ("init -q", "add -A", "-c user.name=ada -c user.email=ada@example.com commit -qm base"):
        subprocess.run(["git", *command.split()], cwd=shop, check=True)
    ok(shop, "up")
    assert promote(shop, "staging").code == 0
    (shop / "agent.yaml").write_text(WIDER.replace("from: prototype, ", ""))
    loose = bedplate(shop, "up", "--stage", "staging", "--json")
    assert loose.code == 3, loose.out
    waived = WIDER.replace("from: prototype, ", "from: prototype, approvals: {minimum: 0}, ")
    (shop / "agent.yaml").write_text(waived)
    review = bedplate(shop, "review", "--base", "HEAD", "--working-tree", "--json")
    asked = {(f["finding"]["subject"], f["finding"]["object"], f["finding"]["reason"]) for f in review.json["findings"]}
    assert (review.code, asked) == (3, {("docs", "*", ""), ("approvals", "0 approvals", "was 1")})
    ok(shop, "up")
    refused = promote(shop, "staging")
    assert (refused.code, build_in(shop, "staging") == build_in(shop, "prototype")) == (3, False), refused.out
    agree = ("--stage", "staging", "--as", "ada", "--reason", "Support needs it", "--expires", "9d")
    assert ok(shop, "approve", "A1", *agree, "--json").json["waiting"] == ["A2"]
    ok(shop, "approve", "A2", *agree)
    assert promote(shop, "staging").code == 0
    assert promote(shop, "staging", "--dry-run").json["plan"]["access"]["required"] == 0


def test_a_gate_that_failed_once_is_asked_again(shop: Path) -> None:
    """What the machine let fail may pass at the next try: a recorded failure never takes the place of a run."""
    ok(shop, "up")
    assert promote(shop, "staging").code == 0
    (shop / "prompt.md").write_text("Answer from the documents, kindly.\n")
    ok(shop, "up")
    assert promote(shop, "staging").code == 0
    (path,) = [
        p for p in (shop / ".bedplate/prototype/evals/faq").glob("*.json") if _behaviour(shop, "staging") in p.name
    ]
    failed = json.loads(path.read_text())
    failed["outcome"] = failed["gates"][0]["outcome"] = "FAIL"
    (shop / "prompt.md").write_text("Answer from the documents, briefly.\n")
    ok(shop, "up")
    wanted = promote(shop, "staging", "--dry-run").json["plan"]["behaviour"]
    failed["behaviourDigest"] = wanted
    path.with_name(f"{path.name[:-17]}{wanted[7:19]}.json").write_text(json.dumps(failed))
    assert promote(shop, "staging", "--dry-run").code == 4
    assert promote(shop, "staging").code == 0


def _behaviour(folder: Path, stage: str) -> str:
    """The first digits of the behaviour that a stage runs."""
    return str(ok(folder, "status", "--stage", stage, "--json").json["behaviour"])[7:19]


def test_gates_ask_the_build_that_is_promoted(shop: Path) -> None:
    """While the gates run nobody can change what answers: the source may be brought up anew with other documents."""
    (shop / "docs/public/refunds.md").write_text("# Refunds\n\nRefunds are never given.\n")
    ok(shop, "up")
    bad = build_in(shop, "prototype")
    promotion = subprocess.Popen(
        [*COMMAND, "promote", "staging", "--json"], cwd=shop, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not list((shop / ".bedplate").glob("_gates-staging")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (shop / "docs/public/refunds.md").write_text(FILES["docs/public/refunds.md"])
    ok(shop, "up")
    out, _ = promotion.communicate(timeout=120)
    document = json.loads(out)
    assert (promotion.returncode, document["plan"]["build"]) == (4, bad), out
    assert build_in(shop, "staging") == ""


@pytest.mark.parametrize("stage", ["prototype", "staging"])
def test_an_interrupted_release_is_brought_to_its_end(shop: Path, stage: str) -> None:
    """kill -9 after a release has started: the same command again ends it as a release, and promotion goes on."""
    again = ("up",) if stage == "prototype" else ("promote", "staging")
    ok(shop, "up")
    if stage == "staging":
        ok(shop, "promote", "staging")
    log = ReleaseLog(shop / ".bedplate" / stage / "releases.jsonl")
    last = log.releases()[-1]
    body = {"stage": stage, "agent": "shop", "build": last.build, "behaviour": last.behaviour, "toolVersion": "0"}
    log.append("started", last.number + 1, body)
    ok(shop, *again)
    statuses = [release.status for release in log.releases()]
    assert statuses == ["applied", "interrupted", "applied"]
    assert promote(shop, "staging" if stage == "prototype" else "prod").code == 0


def test_a_record_that_does_not_know_what_runs_is_refused(shop: Path) -> None:
    """A record that was cut and its head rewritten to fit is noticed where it does not know the build that runs."""
    ok(shop, "up")
    (shop / "prompt.md").write_text("Answer briefly.\n")
    ok(shop, "up")
    path = shop / ".bedplate/prototype/releases.jsonl"
    kept = path.read_bytes().splitlines(keepends=True)[:2]
    path.write_bytes(b"".join(kept))
    digest = "sha256:" + hashlib.sha256(kept[-1][:-1]).hexdigest()
    path.with_name("releases.head").write_bytes(b'{"hash":"' + digest.encode() + b'","seq":2}\n')
    assert codes(bedplate(shop, "plan", "--json")) == ["BP770"]
    assert codes(bedplate(shop, "history", "--json")) == ["BP770"]


def test_damage_of_one_stage_does_not_stop_another(shop: Path) -> None:
    """A damaged build that only a later stage runs is none of the promotion's business."""
    ok(shop, "up")
    ok(shop, "promote", "staging")
    ok(shop, "promote", "prod")
    (shop / "docs/public/refunds.md").write_text(FILES["docs/public/refunds.md"] + "\nNever on Sundays.\n")
    ok(shop, "up")
    old = next(p for p in (shop / ".bedplate/_builds/trees").iterdir() if build_in(shop, "prod")[7:] == p.name)
    page = old / "docs/public/refunds.md"
    page.chmod(0o600)
    page.write_text("damaged")
    ok(shop, "promote", "staging")
    assert codes(promote(shop, "prod", "--dry-run")) in ([], ["BP760"])
