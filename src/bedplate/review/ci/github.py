"""Workflows for GitHub Actions."""

from __future__ import annotations

from bedplate.review.ci.facts import NOTE, Facts, Step, plan_command, release_command
from bedplate.review.ci.fill import fill

ACTIONS = {
    "CHECKOUT": "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
    "SETUP_PYTHON": "actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0",
    "UPLOAD": "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
    "DOWNLOAD": "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c # v8.0.1",
}
"""Each action by the commit of its release: a tag can be moved, a commit cannot."""


def github_files(facts: Facts) -> dict[str, str]:
    """Texts by their path in the repository."""
    folder = ".github/workflows/bedplate-" + facts.prefix
    return {f"{folder}review.yml": _review(facts), f"{folder}deploy.yml": _deploy(facts)}


def github_remaining(facts: Facts) -> list[str]:
    """What is left to do by hand, in order."""
    stages = facts.stages
    promoted = ", ".join(_environment(facts, stage) for stage in stages if stage.source)
    checks = ", ".join([*(["evals"] if facts.suites else []), "review", "review of a fork"])
    runs = f"bedplate-{facts.prefix}deploy.yml@refs/heads/{facts.branch}"
    return [
        "Settings > Environments: create " + ", ".join(_environment(facts, stage) for stage in stages),
        f"In each: Deployment branches > only {facts.branch}",
        *([f"Required reviewers, self-review prevented, in: {promoted}"] if promoted else []),
        *(_secrets_line(facts)),
        f"A self-hosted runner with the label bedplate, in a runner group for {runs} only",
        f"Settings > Branches: on {facts.branch} require a pull request and all checks: {checks} (one that does not "
        "apply counts as passed)",
        f"CODEOWNERS for /.github/, /{facts.path} and {_approvals(facts)}",
        f"A cloud role of a stage trusts the subject repo:OWNER/REPO:environment:{facts.prefix}STAGE, no other",
    ]


def _approvals(facts: Facts) -> str:
    return f"/{facts.folder}/approvals/" if facts.folder else "/approvals/"


def _secrets_line(facts: Facts) -> list[str]:
    needed = [f"{_environment(facts, stage)}: {', '.join(stage.secrets)}" for stage in facts.stages if stage.secrets]
    first = facts.stages[0]
    if first.secrets and facts.suites:
        needed.append(f"bedplate-{facts.prefix}evals: {', '.join(first.secrets)} (keys of their own, with low limits)")
    return [f"Secrets of the environments: {'; '.join(needed)}"] if needed else []


def _environment(facts: Facts, stage: Step) -> str:
    return facts.prefix + stage.name


def _common(facts: Facts) -> dict[str, str]:
    values = {"AGENT": facts.agent, "PATH": facts.path, "PREFIX": facts.prefix, "FILE": facts.option}
    at = {"BRANCH": facts.branch, "VERSION": facts.version, "FOLDER": facts.folder or "."}
    return {**values, **at, **ACTIONS, "INSIDE": f"/{facts.folder}" if facts.folder else ""}


def _review(facts: Facts) -> str:
    common = _common(facts)
    opened = fill("github-open.yml", common)
    if not facts.suites:
        without = {"EVALS": "", "NEEDS": "", "DOWNLOAD_EVALS": "", "RESULTS": "", "GIVEN": "", "WHATEVER": ""}
        return fill("github-review.yml", {**common, **without, "OPEN": opened})
    first = facts.stages[0]
    suites = {"STAGE": first.name, "SUITES": " ".join(facts.suites), "SECRETS": _secrets(first), "OPEN": opened}
    apart = f"environment: bedplate-{facts.prefix}evals # its own keys, not those of a stage" if first.secrets else ""
    evals = fill("github-evals.yml", {**common, **suites, "ENVIRONMENT": apart})
    given = {
        "EVALS": f"{evals}\n",
        "NEEDS": "needs: evals",
        "WHATEVER": "!cancelled() && ",
        "DOWNLOAD_EVALS": fill("github-download.yml", common),
        "RESULTS": "RESULTS: ${{ needs.evals.outputs.results }}",
        "GIVEN": 'if [ -n "$RESULTS" ]; then set -- --evals "$RUNNER_TEMP/evals/evals.json"; fi',
    }
    return fill("github-review.yml", {**common, **given, "OPEN": opened})


def _deploy(facts: Facts) -> str:
    return fill("github-deploy.yml", _common(facts)) + "\n".join(_stage(facts, stage) for stage in facts.stages)


def _stage(facts: Facts, stage: Step) -> str:
    """Two jobs: the plan, which has no environment, and what waits for the environment's reviewers."""
    common, source = _common(facts), stage.source
    job = {
        **common,
        "STAGE": stage.name,
        "ENVIRONMENT": _environment(facts, stage),
        "NEEDS": f"needs: {source}" if source else "",
        "PLACE": fill("github-place.yml", common),
        "CHECK": fill("github-check.yml", {**common, "SOURCE": source}) if source else "",
        "DO": "Promote" if source else "Bring up",
        "PLAN": plan_command(facts, stage),
        "NOTE": f'echo "{NOTE}" >> "$GITHUB_STEP_SUMMARY"' if stage.secrets else "",
        "JUDGE": fill("judge.yml", {"WARNING": "::warning::"}),
        "COMMAND": release_command(facts, stage),
        "SECRETS": _secrets(stage),
    }
    return fill("github-plan.yml", job) + "\n" + fill("github-stage.yml", job)


def _secrets(stage: Step) -> str:
    lines = [f"  {name}: ${{{{ secrets.{name} }}}}" for name in stage.secrets]
    return "\n".join(["env:", *lines]) if lines else ""
