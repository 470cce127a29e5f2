"""Approvals: who may agree to what, for how long, and what damages an approval."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedplate.access.findings import Finding
from bedplate.problems import BedplateError
from bedplate.release.approvals import Approval, approved, parse_approval, read_approvals, slug, standing
from bedplate.release.approve import (
    approver_name,
    choose,
    content,
    expiry,
    new_approval,
    require_honest,
    words,
    write_approval,
)

CASES = yaml.safe_load((Path(__file__).parent / "cases/approvals/damaged.yaml").read_text())
NOW = 1_800_000_000.0
"""2027-01-15T08:00:00Z"""
DAY = 86400.0
A = "sha256:" + "a" * 64
GOOD = Approval(
    stage="prod",
    agent="support",
    finding=A,
    says="docs may read *",
    approver="ann@example.com",
    reason="because",
    approved="2027-01-15T08:00:00Z",
    expires="2027-02-14T08:00:00Z",
    file="approvals/prod/aaaaaaaaaaaa.ann-example-com.yaml",
)
WIDER = Finding("wider", "http", "get", "https://example.com/*", witness="https://example.com/x", where="agent.yaml:8")
DOUBT = Finding("unproved", "tools", "runs", "server", behind="command python -m server", reason="its code changed")
NARROWER = Finding("narrower", "docs", "read", "*")
FINDINGS = (WIDER, DOUBT, NARROWER)


def approve(home: Path, finding: Finding = WIDER, by: str = "ann@example.com", **more: Any) -> Approval:
    options = {"reason": "needed", "expires": "30d", "now": NOW, **more}
    made = new_approval(finding, agent="support", stage="prod", approver=by, **options)
    write_approval(home, made, options["now"])
    return made


def code_of(error: pytest.ExceptionInfo[BedplateError]) -> str:
    return error.value.problems[0].code


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_damaged_approval_is_told_with_its_place(case: dict[str, Any], tmp_path: Path) -> None:
    """Each kind of damage is BP774 at its line and column, and a good file beside it makes up for nothing."""
    text = content(GOOD)
    if "replace" in case:
        assert case["replace"][0] in text
        text = text.replace(*case["replace"])
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(case.get("drop", "\0")))
    text = case.get("content", text) + case.get("add", "") + "#" * case.get("add_many", 0)
    (tmp_path / "approvals/prod").mkdir(parents=True)
    (tmp_path / GOOD.file).write_text(text)
    approve(tmp_path, by="bob@example.com")
    with pytest.raises(BedplateError) as error:
        read_approvals(tmp_path, "prod")
    said = []
    for problem in error.value.problems:
        assert problem.code == "BP774"
        assert problem.where is not None
        assert problem.where.file == GOOD.file
        what = problem.summary.removeprefix("the approval aaaaaaaaaaaa.ann-example-com.yaml cannot be used: ")
        said.append(f"{problem.where.line}:{problem.where.column} {what}")
    assert len(said) == len(case["says"])
    for found, expected in zip(said, case["says"], strict=True):
        assert found.startswith(expected)
    assert error.value.problems[0].fix.startswith(case.get("fix", ""))


@pytest.mark.parametrize("make", ["folder", "link", "bytes"])
def test_what_is_no_text_file_is_no_approval(make: str, tmp_path: Path) -> None:
    """A folder, a link or bytes in the place of an approval are damage, not absence."""
    path = tmp_path / GOOD.file
    path.parent.mkdir(parents=True)
    match make:
        case "folder":
            path.mkdir()
        case "link":
            (tmp_path / "elsewhere").write_text(content(GOOD))
            path.symlink_to(tmp_path / "elsewhere")
        case _:
            path.write_bytes(b"\xff\xfe")
    with pytest.raises(BedplateError) as error:
        read_approvals(tmp_path, "prod")
    assert code_of(error) == "BP774"


def test_an_approval_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What `approve` writes is found again, under the finding's digits and the approver's name."""
    made = approve(tmp_path)
    assert read_approvals(tmp_path, "prod") == (made,)
    assert made.file == f"approvals/prod/{WIDER.digest('support', 'prod')[7:19]}.ann-example-com.yaml"
    assert (made.approved, made.expires) == ("2027-01-15T08:00:00Z", "2027-02-14T08:00:00Z")
    assert read_approvals(tmp_path, "staging") == ()


@given(reason=st.text(min_size=1, max_size=200), approver=st.text(min_size=1, max_size=100))
def test_every_reason_and_name_survives(reason: str, approver: str) -> None:
    """Whatever text is accepted as a reason or a name is read back as the same text; the rest is BP777."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = approve(Path(folder), by=approver, reason=reason)
        except BedplateError as error:
            assert error.problems[0].code == "BP777"  # noqa: PT017 - either outcome is right
            return
        assert read_approvals(Path(folder), "prod") == (made,)


@pytest.mark.parametrize(
    "text", ["0o17", "1e5", "null", "2027-01-15", "no", "# x", "'", '"', "a: b", "李雷", "🙂", "\\n"]
)
def test_text_stays_text(text: str, tmp_path: Path) -> None:
    """Words that YAML takes for numbers, dates, comments or nothing come back as they were typed."""
    assert approve(tmp_path, reason=text, by=text) == read_approvals(tmp_path, "prod")[0]


@pytest.mark.parametrize(
    ("at", "expected"),
    [(-601, "early"), (-600, "counts"), (0, "counts"), (30 * DAY - 1, "counts"), (30 * DAY, "expired")],
)
def test_an_approval_counts_until_the_second_it_expires(at: float, expected: str, tmp_path: Path) -> None:
    """It counts from when it was given to the moment before `expires`, and for nothing outside."""
    made = approve(tmp_path)
    assert standing(made, NOW + at) == expected
    assert approved(made.finding, [made], 1, NOW + at) == (expected == "counts")


def test_a_changed_finding_is_not_approved(tmp_path: Path) -> None:
    """An approval holds for its finding only; one that changed in any word, or of another stage, needs its own."""
    made = approve(tmp_path)
    assert approved(WIDER.digest("support", "prod"), [made], 1, NOW)
    changed = (replace(WIDER, object="https://example.com/*/*"), replace(WIDER, behind="https://example.org"))
    for digest in (*(f.digest("support", "prod") for f in changed), WIDER.digest("support", "staging")):
        assert not approved(digest, [made], 1, NOW)
        assert standing(made, NOW, {digest}) == "unmatched"
    moved = replace(WIDER, where="agent.yaml:99", witness="https://example.com/y")
    assert approved(moved.digest("support", "prod"), [made], 1, NOW)


def test_two_approvers_are_two_people(tmp_path: Path) -> None:
    """With a minimum of two, one person counts once however the name is written, and expired ones not at all."""
    digest = approve(tmp_path).finding
    with pytest.raises(BedplateError) as error:
        approve(tmp_path, by="Ann@Example.com")
    assert code_of(error) == "BP775"
    assert not approved(digest, read_approvals(tmp_path, "prod"), 2, NOW)
    approve(tmp_path, by="bob@example.com", expires="1d")
    both = read_approvals(tmp_path, "prod")
    assert approved(digest, both, 2, NOW)
    assert not approved(digest, both, 2, NOW + DAY)
    assert approved(digest, (), 0, NOW)
    assert not approved(A, (GOOD, replace(GOOD, approver="ANN@example.com")), 2, NOW)
    composed, apart = (replace(GOOD, approver=name) for name in ("jos\u00e9@x", "jose\u0301@x"))
    assert not approved(A, (composed, apart), 2, NOW)


def test_an_approval_that_counts_is_not_overwritten(tmp_path: Path) -> None:
    """The same approver's second approval is BP775 while the first counts, and takes its place when that is over."""
    first = approve(tmp_path, expires="1d")
    with pytest.raises(BedplateError) as error:
        approve(tmp_path, reason="another")
    assert code_of(error) == "BP775"
    assert read_approvals(tmp_path, "prod") == (first,)
    approve(tmp_path, reason="again", now=NOW + DAY)
    assert [a.reason for a in read_approvals(tmp_path, "prod")] == ["again"]


def test_a_damaged_approval_is_not_overwritten(tmp_path: Path) -> None:
    """Approving over a damaged file is refused: what it said may matter."""
    path = tmp_path / approve(tmp_path).file
    path.write_text("x")
    with pytest.raises(BedplateError) as error:
        approve(tmp_path)
    assert code_of(error) == "BP774"
    assert path.read_text() == "x"


@pytest.mark.parametrize(
    ("text", "days"), [("30d", 30), ("1h", 1 / 24), ("365d", 365), ("2027-01-15", 2 / 3), ("2028-01-14", 364 + 2 / 3)]
)
def test_times(text: str, days: float) -> None:
    """A number of days or hours from now, or a date to its end in UTC."""
    assert expiry(text, NOW) == pytest.approx(NOW + days * DAY)


@pytest.mark.parametrize(
    "text", ["", "30", "0d", "366d", "2028-01-16", "2027-01-14", "2027-02-30", "soon", "-1d", "9999d"]
)
def test_times_that_are_refused(text: str) -> None:
    """No time, one that is over, and one more than 365 days away are BP777 with exit 64."""
    with pytest.raises(BedplateError) as error:
        expiry(text, NOW)
    assert (code_of(error), error.value.exit_code) == ("BP777", 64)


def test_choosing_a_finding() -> None:
    """A finding is named as on the screen or by the beginning of its digest."""
    digest = DOUBT.digest("support", "prod")
    for wanted in ("A2", "a2", digest, digest[7:19], digest[:20]):
        assert choose(wanted, FINDINGS, "support", "prod") == ("A2", DOUBT)


@pytest.mark.parametrize("wanted", ["A0", "A4", "A3", "", "sha256:", "000000", "a", "A1 "])
def test_what_names_no_finding_is_refused(wanted: str) -> None:
    """Nothing is approved by guess: no such finding, too few digits, or one that needs no approval are BP777."""
    with pytest.raises(BedplateError) as error:
        choose(wanted, FINDINGS, "support", "prod")
    assert code_of(error) == "BP777"


def test_a_prefix_of_two_findings_is_refused() -> None:
    """Digits that begin two digests name neither."""
    with pytest.raises(BedplateError) as error:
        choose(WIDER.digest("support", "prod")[7:15], (WIDER, WIDER), "support", "prod")
    assert "names A1, A2" in error.value.problems[0].summary


def test_findings_in_words() -> None:
    """An approval says what was approved without the plan at hand."""
    assert words(WIDER) == "http may get https://example.com/*"
    assert words(DOUBT) == "unproved: tools runs server (command python -m server, its code changed)"
    assert len(words(replace(WIDER, object="x" * 5000 + "\x1b"))) == 1000


def test_an_approval_says_what_it_approves(tmp_path: Path) -> None:
    """An approval whose words are another finding's is damage; one of a finding that is gone says what it wants."""
    made = approve(tmp_path)
    require_honest([made, GOOD], FINDINGS, "support", "prod")
    with pytest.raises(BedplateError) as error:
        require_honest([replace(made, says="docs may read faq.md")], FINDINGS, "support", "prod")
    assert code_of(error) == "BP774"


def test_the_approver_is_who_git_says(tmp_path: Path) -> None:
    """`--as` wins over git's user.email of the project, which wins over the operating system's user."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "config", "user.email", "ann@example.com"], cwd=tmp_path, check=True)
    assert approver_name(tmp_path, None) == "ann@example.com"
    assert approver_name(tmp_path, "bob") == "bob"
    subprocess.run(["git", "config", "user.email", ""], cwd=tmp_path, check=True)
    assert approver_name(tmp_path, None) not in {"", "ann@example.com"}


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("Ann Lee", "ann-lee", True),
        ("李雷", "韓梅", False),
        ("jörg", "jerg", False),
        ("jos\u00e9@x", "jose\u0301@x", True),
        ("JOSE\u0301 x", "jos\u00e9@x", True),
        ("\uff21nn", "ann", True),
        ("jos\u00e9@x", "jose@x", False),
        ("\u0915\u093f", "\u0915\u093e", False),
        ("!", "?", False),
    ],
)
def test_slugs_tell_people_apart(a: str, b: str, same: bool) -> None:
    """Case, punctuation and Unicode's ways to write a letter make no second person; letters of any alphabet do."""
    assert (slug(a) == slug(b)) == same
    assert "/" not in slug(f"../{a}/x" * 40)


def test_other_files_are_no_approvals(tmp_path: Path) -> None:
    """A note beside the approvals is left alone; a file ending in .yml is told and not passed over."""
    approve(tmp_path)
    (tmp_path / "approvals/prod/README.md").write_text("How we approve.")
    assert len(read_approvals(tmp_path, "prod")) == 1
    (tmp_path / GOOD.file).with_suffix(".yml").write_text(content(GOOD))
    with pytest.raises(BedplateError):
        read_approvals(tmp_path, "prod")


def test_a_file_is_parsed_without_a_folder() -> None:
    """A review reads approvals from a commit: content and path are enough."""
    assert parse_approval(content(GOOD).encode(), GOOD.file) == GOOD
