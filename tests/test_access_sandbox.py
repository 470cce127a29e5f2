"""Settings of sandboxes and containers: what the scopes say, and the same refusals that the runtime makes today."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bedplate.access import Grant, ScopeSet, sandbox
from bedplate.access.sandbox import Bounds, compile, mount, validate
from bedplate.problems import BedplateError
from bedplate.runtime.sandbox import SandboxSpec, model, seccomp

SCOPES = ScopeSet(
    (
        Grant("prompts", "sandbox", "read", "prompts/*", "agent.yaml:50"),
        Grant("out", "sandbox", "write", "out/result.json", "agent.yaml:51"),
        Grant("docs", "docs", "read", "*", "agent.yaml:9"),
    )
)
BOUNDS = Bounds(256 * 1024 * 1024, 32, "agent.yaml:48", "agent.yaml:49")


def test_settings_name_the_manifest() -> None:
    """Each path and bound knows its grant and line; what every sandbox has serves no one grant."""
    process, container, profile = compile(SCOPES, BOUNDS).artefacts
    for artefact in (process, container):
        found = {next(iter(json.loads(line.text))): (line.grant, line.where) for line in artefact.lines}
        assert found["read"] == ("prompts", "agent.yaml:50")
        assert found["write"] == ("out", "agent.yaml:51")
        assert found["memory"] == ("", "agent.yaml:48")
        assert found["network"] == ("", "")
        assert validate(SCOPES, BOUNDS, artefact) == ()
    assert json.loads(profile.text) == sandbox.seccomp()


def test_a_setting_more_or_less_is_a_difference() -> None:
    """Settings are held against scopes and bounds, both ways."""
    artefact = compile(SCOPES, BOUNDS).artefacts[1]
    path = '{"read": {"path": "prompts", "below": true}}'
    (more,) = validate(ScopeSet(SCOPES.grants[1:]), BOUNDS, artefact)
    assert more == f"the settings have {path}, which nothing asks for"
    for line in artefact.lines:
        fewer = replace(artefact, lines=tuple(other for other in artefact.lines if other != line))
        assert validate(SCOPES, BOUNDS, fewer) == (f"the settings lack {line.text}",)


def test_the_container_is_closed() -> None:
    """No network, no capabilities, no new privileges, nothing to write but a temporary folder."""
    found = {setting.name: setting.value for setting in sandbox.container(ScopeSet(), BOUNDS)}
    assert found == {
        "memory": 268435456,
        "memory-swap": 268435456,
        "pids-limit": 32,
        "read-only": True,
        "cap-drop": ["ALL"],
        "security-opt": ["no-new-privileges", "seccomp=seccomp.json"],
        "user": "10001:10001",
        "network": "none",
        "ipc": "none",
        "init": True,
        "ulimit": ["nofile=256"],
        "tmpfs": ["/tmp:rw,noexec,nosuid,nodev,size=67108864,mode=1777"],
    }


def test_the_runtime_refuses_the_same_system_calls() -> None:
    """The container's profile and the filter of the process sandbox are one list."""
    assert set(sandbox.FORBIDDEN) == {*seccomp._DENIED, *seccomp._DENIED_X86_ONLY}
    assert set(sandbox.MISSING) == set(seccomp._MISSING)
    assert sum(sandbox.NAMESPACES) == seccomp._NEW_NAMESPACES
    assert sandbox.FAMILIES == seccomp._SOCKET_FAMILIES


def test_the_runtime_has_the_same_bounds() -> None:
    """Memory, processes and the temporary folder are what the process sandbox has where nothing is written."""
    assert (Bounds().memory, Bounds().pids) == (SandboxSpec().memory, SandboxSpec().pids)
    assert sandbox.TMP_BYTES == model.TMP_BYTES


def _refuses(family: int) -> bool:
    tests = [rule["args"][0] for rule in sandbox.seccomp()["syscalls"] if rule["names"] == ["socket"]]
    compare = {"SCMP_CMP_EQ": int.__eq__, "SCMP_CMP_GT": int.__gt__}
    return any(compare[test["op"]](family, test["value"]) for test in tests)


def test_only_three_socket_families_are_left() -> None:
    """Each other family is refused by some rule of the profile, these by none."""
    assert [family for family in range(64) if not _refuses(family)] == [1, 2, 10]


@pytest.mark.parametrize("path", ["*", "a*/b", "../x/*", "a/../b", ""])
def test_what_cannot_be_mounted_is_an_error(path: str) -> None:
    """A pattern that is neither a file nor all below a folder is refused with its line."""
    assert mount(path) is None
    with pytest.raises(BedplateError) as caught:
        compile(ScopeSet((Grant("g", "sandbox", "read", path, "agent.yaml:3"),)), BOUNDS)
    (problem,) = caught.value.problems
    assert (problem.code, str(problem.where)) == ("BP854", "agent.yaml:3")
