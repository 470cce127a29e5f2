"""Packages of a build: fetched by hash, kept in the store, found by tools and by nothing else."""

from __future__ import annotations

import base64
import hashlib
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bedplate.blueprint.model import FileRef
from bedplate.blueprint.requirements import NotPinned, requirements_of
from bedplate.problems import BedplateError
from bedplate.release.builds.store import BuildStore
from bedplate.release.builds.wheels import members, usable
from builds_support import FILES, write_project
from cli_support import bedplate, ok
from stage_support import Model, Stage, code_of

HASH = "0" * 64
SERVER = """\
import harbour
from mcp.server.mcpserver import MCPServer
server = MCPServer("words")
@server.tool()
def shout(word: str) -> str:
    return harbour.greet(word).upper()
server.run()
"""
MANIFEST = """\
apiVersion: bedplate.dev/v1
kind: Agent
metadata: {{name: packed}}
intent: script
model: {{id: "scripted:m", baseUrl: "{url}/v1"}}
instructions: {{file: prompts/system.md}}
tools:
  - {{name: hello, type: python, entrypoint: "tools.hello:hello", scopes: [{{call: hello}}]}}
  - {{name: words, type: mcp, command: [python, tools/words.py], scopes: [{{call: "*"}}]}}
runtime: {{type: managed, requirements: requirements.txt}}
"""
PACKAGE = {
    "harbour/__init__.py": b"from harbour.words import greet\n",
    "harbour/words.py": b"def greet(name: str) -> str:\n    return f'ahoy {name}'\n",
}


def wheel(folder: Path, name: str = "harbour", files: Mapping[str, bytes] = PACKAGE, tag: str = "py3-none-any") -> Path:
    """A wheel with these files, as the format wants it; its path."""
    info = f"{name}-1.0.dist-info"
    whole = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    rows = [f"{path},{_digest(data)},{len(data)}" for path, data in whole.items()]
    record = "\n".join([*rows, f"{info}/RECORD,,", ""])
    path = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in {**whole, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0)), data)
    return path


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def pinned(path: Path) -> str:
    """The line of a requirements file that names this wheel."""
    name = path.name.partition("-")[0]
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def model() -> Iterator[Model]:
    served = Model()
    yield served
    served.close()


@pytest.fixture
def links(tmp_path: Path) -> Path:
    """A folder with the wheel, in place of a package index."""
    (tmp_path / "wheels").mkdir()
    wheel(tmp_path / "wheels")
    return tmp_path / "wheels"


@pytest.fixture
def project(tmp_path: Path, links: Path, model: Model) -> Iterator[Stage]:
    """A project whose tools import the package."""
    folder = tmp_path / "project"
    files = {
        "agent.yaml": MANIFEST.format(url=model.url),
        "prompts/system.md": "Answer.\n",
        "tools/hello.py": "import harbour\n\ndef hello(name: str) -> str:\n    return harbour.greet(name)\n",
        "tools/words.py": SERVER,
        "requirements.txt": f"# what the tools import\n{pinned(links / 'harbour-1.0-py3-none-any.whl')}",
    }
    write_project(folder, {path: text.encode() for path, text in files.items()})
    yield Stage(folder)
    bedplate(folder, "destroy", "--yes")


def env(links: Path) -> dict[str, str]:
    """pip's own variables: look nowhere but in the folder."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links), "PIP_CONFIG_FILE": "/dev/null"}


def test_tools_find_the_packages_of_their_build(project: Stage, links: Path) -> None:
    """A python tool and an MCP server import the package from the build, also when the index is gone."""
    planned = bedplate(project.folder, "plan", "--json")
    ok(project.folder, "up", env=env(links))
    assert planned.code == 2
    assert bedplate(project.folder, "plan").code == 0
    shutil.rmtree(links)
    assert project.answer('call hello___hello {"name": "Ada"}').endswith("ahoy Ada")
    assert project.answer('call words___shout {"word": "Ada"}').endswith("AHOY ADA")
    (project.folder / "prompts/system.md").write_text("Answer briefly.\n")
    ok(project.folder, "up", env=env(links))  # the same requirements: nothing is fetched
    assert project.answer('call hello___hello {"name": "Bo"}').endswith("ahoy Bo")
    store = BuildStore(project.folder)
    assert len(list((store.folder / "sites").iterdir())) == 1
    assert list(store.folder.glob("drafts/*")) == []


def test_the_digest_needs_no_wheel(project: Stage, links: Path) -> None:
    """The digest follows from the requirements file: it is known before anything was fetched."""
    said = ok(project.folder, "validate", "--json").json["buildDigest"]
    made = ok(project.folder, "build", "--json", env=env(links)).json
    assert made["buildDigest"] == said
    assert {file["path"] for file in made["files"]} >= {"requirements.txt"}


def test_what_cannot_be_fetched_is_told(project: Stage, links: Path) -> None:
    """A hash that fits no wheel, and a package that is nowhere, are BP763 with pip's words; nothing is built."""
    requirements = project.folder / "requirements.txt"
    good = requirements.read_text()
    for text in (f"harbour==1.0 --hash=sha256:{HASH}\n", f"{good}absent==1.0 --hash=sha256:{HASH}\n"):
        requirements.write_text(text)
        ran = bedplate(project.folder, "build", "--json", env=env(links))
        assert code_of(ran) == "BP763"
        assert "harbour" in ran.out or "absent" in ran.out
        assert BuildStore(project.folder).digests() == ()
    requirements.write_text(good)
    ok(project.folder, "build", env=env(links))


@pytest.mark.parametrize("place", ["site", "wheel", "record", "more"])
def test_damaged_packages_are_found(project: Stage, links: Path, place: str) -> None:
    """A package that was edited after it was unpacked, its wheel or a wheel that nobody pinned is BP760."""
    ok(project.folder, "build", env=env(links))
    store = BuildStore(project.folder)
    (build,) = store.records()
    (site,) = (store.folder / "sites").iterdir()
    path = {
        "site": site / "harbour/words.py",
        "more": site / "sitecustomize.py",
        "wheel": store.blob(build.wheels[0].sha256),
        "record": store.record(build.digest),
    }[place]
    before = path.read_bytes() if path.exists() else b""
    path.exists() and path.chmod(0o600)
    if place == "record":
        other = wheel(links, "pirate")
        digest, size = hashlib.sha256(other.read_bytes()).hexdigest(), other.stat().st_size
        stored = store.blob(digest)
        stored.parent.mkdir(exist_ok=True)
        shutil.copy(other, stored)
        known = build.wheels[0]
        text = before.replace(known.sha256.encode(), digest.encode()).replace(known.path.encode(), other.name.encode())
        path.write_bytes(text.replace(f'"size":{known.size}'.encode(), f'"size":{size}'.encode()))
    else:
        path.write_bytes(before + b"import os\n")
    ran = bedplate(project.folder, "build", "--json", env=env(links))
    assert code_of(ran) == "BP760", ran.out
    assert {"record": "does not name pirate-1.0", "wheel": "harbour-1.0-py3"}.get(place, "of its packages") in ran.out


NOT_PINNED = {
    "no hash": ("harbour==1.0", 1),
    "no version": (f"harbour --hash=sha256:{HASH}", 1),
    "a range": (f"harbour>=1.0 --hash=sha256:{HASH}", 1),
    "any version": (f"harbour==1.* --hash=sha256:{HASH}", 1),
    "another hash": ("harbour==1.0 --hash=md5:00", 1),
    "a short hash": ("harbour==1.0 --hash=sha256:00", 1),
    "an option": (f"# index\n--index-url https://example.org/simple\nharbour==1.0 --hash=sha256:{HASH}", 2),
    "another file": ("-r other.txt", 1),
    "an address": (f"harbour @ https://example.org/h.whl --hash=sha256:{HASH}", 1),
    "a folder": ("./harbour", 1),
    "the second of two": (f"harbour==1.0 \\\n  --hash=sha256:{HASH}\n\npirate==2", 4),
    "an option behind a hash": (f"harbour==1.0 --hash=sha256:{HASH} --config-settings=x=y", 1),
}


@pytest.mark.parametrize(("text", "line"), NOT_PINNED.values(), ids=NOT_PINNED)
def test_a_line_that_is_not_pinned_is_refused(text: str, line: int) -> None:
    """Whatever leaves open what is installed is refused, with the line where it begins."""
    with pytest.raises(NotPinned) as found:
        requirements_of(text)
    assert found.value.line == line


def test_pinned_lines_are_read() -> None:
    """Extras, markers, several hashes, comments and continued lines, as the tools write them."""
    text = f"""\
# made by a tool
harbour[fast]==1.0 ; python_version >= "3.11" \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
    # via something
pirate-ship==2.1.post3+local --hash=sha256:{"c" * 64}  # why
"""
    first, second = requirements_of(text)
    assert (first.name, first.version, first.line) == ("harbour", "1.0", 2)
    assert first.hashes == {"a" * 64, "b" * 64}
    assert (second.name, second.version, second.line) == ("pirate-ship", "2.1.post3+local", 6)


def test_wheels_are_unpacked_as_their_format_says(tmp_path: Path) -> None:
    """Modules of `.data` stand beside the others, scripts are left out; a wheel that leads out of it is refused."""
    path = wheel(
        tmp_path,
        files={
            **PACKAGE,
            "harbour-1.0.data/purelib/more.py": b"x = 1\n",
            "harbour-1.0.data/scripts/run": b"#!python\n",
        },
    )
    places = {place for place in members([("harbour", path)]) if ".dist-info/" not in place}
    assert places == {*PACKAGE, "more.py"}
    same = wheel(tmp_path, "pirate", {"harbour/__init__.py": b"other = 1\n"})
    for wheels in ([wheel(tmp_path, "bad", {"../out.py": b""})], [path, same], [tmp_path / "agent.yaml"]):
        (tmp_path / "agent.yaml").write_bytes(FILES["agent.yaml"])
        with pytest.raises(BedplateError) as error:
            members((each.name, each) for each in wheels)
        assert error.value.problems[0].code == "BP763"


def test_wheels_for_another_python_are_fetched_anew() -> None:
    """Pure wheels and stable interfaces serve every Python, others only the one in their name."""
    names = {"a-1-py3-none-any.whl": True, "a-1-cp38-abi3-linux_x86_64.whl": True, "a-1-cp27-cp27m-linux.whl": False}
    assert {name: usable([FileRef(name, HASH, 1)]) for name in names} == names
