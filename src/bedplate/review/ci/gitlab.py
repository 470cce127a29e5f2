"""Jobs for GitLab CI, in one file to include."""

from __future__ import annotations

from bedplate.review.ci.facts import NOTE, Facts, Step, plan_command, release_command
from bedplate.review.ci.fill import fill

IMAGE = "python:3.12.14-bookworm@sha256:dbbe4ceb97851e2e5fa83798b239811f871cb743b259ba3563737349f6bcfaa0"
"""The official Python image that has git, by the digest of its index: a tag can be moved, a digest cannot."""


def gitlab_files(facts: Facts) -> dict[str, str]:
    """Texts by their path in the repository."""
    machine = fill("gitlab-machine.yml", _common(facts))
    return {_name(facts): "\n".join([_head(facts), machine, *(_stage(facts, stage) for stage in facts.stages)])}


def gitlab_remaining(facts: Facts) -> list[str]:
    """What is left to do by hand, in order."""
    stages, named = facts.stages, ", ".join(facts.prefix + stage.name for stage in facts.stages)
    secrets = [f"{facts.prefix}{stage.name}: {', '.join(stage.secrets)}" for stage in stages if stage.secrets]
    if stages[0].secrets and facts.suites:
        secrets.append(f"bedplate-{facts.prefix}evals: {', '.join(stages[0].secrets)} (with low limits, not protected)")
    approvals = f"/{facts.folder}/approvals/" if facts.folder else "/approvals/"
    return [
        f"In .gitlab-ci.yml: include: [{{local: {_name(facts)}}}], with stages test and deploy",
        f"Settings > CI/CD > Protected environments: {named}, each with those who may deploy or must approve",
        *([f"Variables, masked and protected, by environment: {'; '.join(secrets)}"] if secrets else []),
        "A project access token, role Reporter, scope api: BEDPLATE_GITLAB_TOKEN, masked and hidden, not protected, "
        f"environment bedplate-{facts.prefix}review (CI_JOB_TOKEN may not comment)",
        "A runner with the shell executor and the tag bedplate, protected, one job at a time",
        f"Settings > Merge requests: pipelines must succeed; protect {facts.branch}",
        f"CODEOWNERS for /.gitlab-ci.yml, /{_name(facts)}, /{facts.path} and {approvals}",
        f"A cloud role of a stage trusts the audience bedplate:{facts.agent}:STAGE and "
        f"project_path:GROUP/PROJECT:ref_type:branch:ref:{facts.branch}, no other",
    ]


def _name(facts: Facts) -> str:
    return f".gitlab-ci.bedplate{f'.{facts.agent}' if facts.prefix else ''}.yml"


def _common(facts: Facts) -> dict[str, str]:
    values = {"AGENT": facts.agent, "PATH": facts.path, "PREFIX": facts.prefix, "FILE": facts.option}
    at = {"VERSION": facts.version, "FOLDER": facts.folder or ".", "NAME": _name(facts)}
    at |= {"BRANCH": facts.branch, "IMAGE": IMAGE}
    return {**values, **at, "INSIDE": f"/{facts.folder}" if facts.folder else ""}


def _head(facts: Facts) -> str:
    common, first = _common(facts), facts.stages[0]
    if not facts.suites:
        return fill("gitlab-review.yml", {**common, "EVALS": "", "NEEDS": "needs: []", "GIVEN": ""})
    where = f"environment: {{name: bedplate-{facts.prefix}evals, action: access}}" if first.secrets else ""
    suites = {"STAGE": first.name, "SUITES": " ".join(facts.suites), "ENVIRONMENT": where}
    given = {
        "EVALS": fill("gitlab-evals.yml", {**common, **suites}) + "\n",
        "NEEDS": f"needs: [{{job: bedplate-{facts.prefix}evals, optional: true, artifacts: true}}]",
        "GIVEN": fill("gitlab-given.yml", common),
    }
    return fill("gitlab-review.yml", {**common, **given})


def _stage(facts: Facts, stage: Step) -> str:
    """Two jobs: the plan, which has no environment, and what somebody of the environment starts."""
    common, source = _common(facts), stage.source
    job = {
        **common,
        "STAGE": stage.name,
        "ENVIRONMENT": facts.prefix + stage.name,
        "NEEDS": f"needs: [bedplate-{facts.prefix}deploy-{source}]" if source else "needs: []",
        "MANUAL": "when: manual # somebody of the protected environment starts it" if source else "",
        "PLACE": fill("gitlab-place.yml", common),
        "CHECK": fill("gitlab-check.yml", {**common, "SOURCE": source}) if source else "",
        "PLAN": plan_command(facts, stage),
        "NOTE": f'echo "{NOTE}" >> "$plan"' if stage.secrets else "",
        "JUDGE": fill("judge.yml", {"WARNING": ""}),
        "COMMAND": release_command(facts, stage),
    }
    return fill("gitlab-plan.yml", job) + "\n" + fill("gitlab-stage.yml", job)
