"""`bedplate state`: a stage's state out and in, its history, and mending it, from the shell."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_support import bedplate, ok
from stage_support import MANIFEST, Stage, stage


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A small stage that is up."""
    with stage(tmp_path_factory.mktemp("shop"), MANIFEST + "model: bedplate:extractive\n") as found:
        yield found


def test_a_state_goes_out_and_comes_back(up: Stage, tmp_path: Path) -> None:
    """The document is Pulumi's, private where it is a file, and imported again it changes nothing that runs."""
    document = json.loads(ok(up.folder, "state", "export").out)
    assert document["version"] == 3
    assert document["deployment"]["resources"][0]["type"] == "pulumi:pulumi:Stack"
    path = tmp_path / "state.json"
    ok(up.folder, "state", "export", "--out", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    refused = bedplate(up.folder, "state", "import", str(path))
    assert refused.code == 3
    assert "BP703" in refused.err
    count = len(document["deployment"]["resources"])
    said = ok(up.folder, "state", "import", str(path), "--yes", "--json").json
    assert said["resources"] <= count
    assert said["kept"] == [str(up.home / "state.json.bak")]
    assert bedplate(up.folder, "plan").code == 0
    told = ok(up.folder, "state", "history").out.splitlines()
    assert [line.split()[-4:][0] for line in told[1:]]
    assert "import" in told[1]
    assert "up" in told[2]


def test_a_document_of_something_else_is_refused(up: Stage) -> None:
    """No JSON, or another stack's: the reason, and the state stays."""
    for text in ("{", "[]", '{"version": 3}'):
        ran = bedplate(up.folder, "state", "import", "-", "--yes", stdin=text)
        assert ran.code == 1
        assert "BP252" in ran.err
    assert bedplate(up.folder, "plan").code == 0


def test_a_damaged_state_is_mended_from_the_shell(up: Stage) -> None:
    """Every command says that it is damaged and what mends it; a repair shows, asks, and does it."""
    ok(up.folder, "state", "import", "-", "--yes", stdin=ok(up.folder, "state", "export").out)
    path = up.home / "state.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + b"X" + whole[201:])
    ran = bedplate(up.folder, "plan")
    assert "BP211" in ran.err
    assert "bedplate state repair" in ran.err
    looked = ok(up.folder, "state", "repair", "--dry-run")
    assert "state.json.bak" in looked.out
    assert bedplate(up.folder, "state", "repair").code == 3
    ok(up.folder, "state", "repair", "--yes")
    assert bedplate(up.folder, "plan").code == 0
    assert "is whole" in ok(up.folder, "state", "repair").out
    document = ok(up.folder, "state", "export").out
    path.write_bytes(whole[:200] + b"X" + whole[201:])
    said = ok(up.folder, "state", "import", "-", "--yes", stdin=document).out
    assert "state.json.damaged-2." in said
    assert "state.json.bak" not in said


def test_a_stage_that_is_not_deployed_has_no_state_to_export(up: Stage) -> None:
    """Told by the stage's name, with what brings it up."""
    ran = bedplate(up.folder, "state", "export", "--stage", "elsewhere")
    assert ran.code == 1
    assert "elsewhere is not deployed" in ran.err
    assert "Nothing has happened" in ok(up.folder, "state", "history", "--stage", "elsewhere").out
