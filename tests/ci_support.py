"""Runs generated CI jobs as a platform's runner would: the same shells, variables and files, in folders of the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from review_support import git

AGENT = {
    "apiVersion": "bedplate.dev/v1",
    "kind": "Agent",
    "metadata": {"name": "support", "description": "Answers.", "owner": "shop"},
    "intent": "product",
    "model": "bedplate:extractive",
    "instructions": "Answer.",
    "data": [{"name": "docs", "type": "files", "path": "docs"}],
    "tools": [{"name": "docs", "type": "search", "use": "docs", "scopes": [{"read": "*"}]}],
    "memory": {"sessions": {"retention": "30d", "per": "user"}},
    "tracing": {"content": "redacted", "retention": "30d"},
    "limits": {"requests": 6, "toolCalls": 10, "tokens": 60000, "timeout": "60s"},
}
QUESTION = {"name": "refunds", "inputs": "How long do refunds take?", "expected_output": "thirty days"}


def agent_files(case: Mapping[str, Any]) -> dict[str, str]:
    """The files of an agent as a case of cases/ci/manifests.yaml describes it."""
    suites = case.get("suites", {"faq": ["pullRequest", "promote"]})
    evals = [
        {"name": n, "dataset": "evals/faq.yaml", "runOn": on, "gates": [{"metric": "contains", "min": 0.5}]}
        for n, on in suites.items()
    ]
    manifest: dict[str, Any] = {**AGENT, **({"model": case["model"]} if "model" in case else {})}
    manifest |= {"evals": evals} if evals else {"intent": "script"}
    folder = f"{case['folder']}/" if "folder" in case else ""
    texts = {
        case.get("file", "agent.yaml"): yaml.safe_dump({**manifest, "stages": case["stages"]}, sort_keys=False),
        "docs/refunds.md": "# Refunds\n\nRefunds take thirty days.\n",
        "evals/faq.yaml": yaml.safe_dump({"name": "faq", "cases": [QUESTION]}),
    }
    return {folder + name: text for name, text in texts.items()}


@dataclass
class Runner:
    """A machine with a home of its own, and the repository that it checks out. `given`: the platform's variables."""

    home: Path
    origin: Path
    given: Mapping[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    """Expressions of the platform by their text, for those that a job uses."""
    artifacts: dict[str, Path] = field(default_factory=dict)
    log: str = ""

    def __post_init__(self) -> None:
        self.temp = self.home / "temp"
        self.temp.mkdir(parents=True)

    def github(self, job: Mapping[str, Any], commit: str, **more: str) -> int:
        """Run one job's steps on a commit; the first exit code that is none of success, else 0."""
        work = self._fresh()
        files = {name: self.temp / name for name in ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        places = {"GITHUB_WORKSPACE": str(work), "RUNNER_TEMP": str(self.temp), "GITHUB_SHA": commit}
        set_ = {**self.given, **places, **{name: str(file) for name, file in files.items()}, **more}
        failed = 0
        for step in job["steps"]:
            if failed and "!cancelled()" not in step.get("if", ""):
                continue
            if "uses" in step:
                self._use(step, work, commit)
            elif step["name"] != "Install Bedplate":
                own = {name: self._value(text) for name, text in step.get("env", {}).items()}
                written = dict(line.split("=", 1) for line in files["GITHUB_ENV"].read_text().splitlines())
                failed = failed or self.shell(step["run"], work, {**set_, **written, **own})
        return failed

    def gitlab(self, job: Mapping[str, Any], commit: str, **more: str) -> int:
        """Run one job's script on a commit."""
        work = self._fresh()
        self._clone(work, commit)
        for name, kept in self.artifacts.items():
            shutil.copy(kept, work / name)
        places = {"CI_PROJECT_DIR": str(work), "CI_COMMIT_SHA": commit}
        code = self.shell("\n".join(job["script"]), work, {**self.given, **places, **more})
        for name in job.get("artifacts", {}).get("paths", ()):
            if (work / name).exists():
                self.artifacts[name] = Path(shutil.copy(work / name, self.home))
        return code

    def shell(self, script: str, folder: Path, environment: Mapping[str, str]) -> int:
        """Run a script as both platforms do: bash, ended by the first command that fails."""
        file = self.temp / "script.sh"
        file.write_text(script)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)],
            cwd=folder,
            env={"HOME": str(self.home), "PATH": path, "CI": "true", **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.log += f"$ {script}\n{done.stdout}{done.stderr}exit {done.returncode}\n"
        return done.returncode

    def _value(self, text: str) -> str:
        return self.values[text] if text.startswith("${{") else text

    def _fresh(self) -> Path:
        work = self.home / "work"
        shutil.rmtree(work, ignore_errors=True)
        return work

    def _clone(self, work: Path, commit: str) -> None:
        git(self.home, "clone", "--quiet", str(self.origin), str(work))
        git(work, "checkout", "--quiet", "--detach", commit)

    def _use(self, step: Mapping[str, Any], work: Path, commit: str) -> None:
        """What an action does, as far as a job of ours relies on it."""
        action = step["uses"].partition("@")[0]
        match action:
            case "actions/checkout":
                self._clone(work, commit)
            case "actions/upload-artifact":
                shutil.copytree(self.temp / "evals", self.home / "artifact")
                self.values["${{ needs.evals.outputs.results }}"] = "1"
                shutil.rmtree(self.temp / "evals")
            case "actions/download-artifact":
                shutil.copytree(self.home / "artifact", self.temp / "evals")
            case _:
                assert action == "actions/setup-python"
