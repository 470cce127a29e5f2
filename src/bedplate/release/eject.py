"""A stage as a plain Pulumi project, for teams that go on without Bedplate's command line.

Goes in: a target and an empty folder. Comes out: `Pulumi.yaml`, the program, the stage's configuration, what to install
and, where the stage is deployed, its state. The stage itself is left as it is.
"""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path
from typing import Any, Final

import yaml

from bedplate.engine.pulumiplace import passphrase_in
from bedplate.problems import BedplateError, Problem
from bedplate.release.builds.make import deployable
from bedplate.release.builds.store import BuildStore
from bedplate.release.deployment import Deployment, prepare
from bedplate.release.engines import configured
from bedplate.release.target import PROJECT, Target

PASSPHRASE: Final = "passphrase"
_MAIN: Final = '''"""The entry for `pulumi up`."""

from program import program

program()
'''
_README: Final = """# {stage} as a Pulumi project

Written by `bedplate eject`. `program.py` registers the resources, `Pulumi.{stage}.yaml` holds their configuration, and
the package `bedplate` in `requirements.txt` brings the resource types and their provider, `pulumi-resource-bedplate`.

    pip install -r requirements.txt
    export PULUMI_CONFIG_PASSPHRASE_FILE=$PWD/passphrase
    mkdir -p state && pulumi login file://$PWD/state      # or the backend of your team
    pulumi stack init {stage}
{state}    pulumi up --stack {stage}

The resources of the stage stay in `{folder}`, and its files are those of the build in `{project}`: keep both. Do not
run `bedplate up` on the stage any more: each of the two would undo what the other does.
"""


def eject(target: Target, folder: Path, *, allow_unsandboxed: bool = False) -> tuple[Path, ...]:
    """Write the project and return its files. Raises BedplateError BP266 where the folder holds something."""
    if folder.exists() and any(folder.iterdir()):
        raise BedplateError(Problem("BP266", f"{folder} is not empty", fix="name a folder that does not exist yet"))
    with BuildStore(target.home).holding():
        deployment = prepare(deployable(target), allow_unsandboxed)
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(_write(deployment, folder))


def _write(deployment: Deployment, folder: Path) -> list[Path]:
    import bedplate
    from bedplate.stacks.local import program

    target = deployment.target
    stage, engine = target.blueprint.stage, deployment.engine
    deployed = engine.outputs(target.stack) is not None
    state = configured(engine.export_state(target.stack), target.paths) if deployed else None
    settings: dict[str, Any] = {"config": deployment.config, **_salt(state)}
    texts = {
        "Pulumi.yaml": yaml.safe_dump({"name": PROJECT, "runtime": "python", "description": target.label}),
        f"Pulumi.{stage}.yaml": yaml.safe_dump(settings),
        "__main__.py": _MAIN,
        "requirements.txt": f"bedplate=={bedplate.__version__}\n",
        ".gitignore": f"{PASSPHRASE}\nstate/\nstate.json\n__pycache__/\n",
        "README.md": _readme(target, deployed=deployed),
    }
    if state is not None:
        texts["state.json"] = json.dumps(state, indent=1)
    texts[PASSPHRASE] = passphrase_in(target.paths.folder, make=False) or secrets.token_urlsafe(24)
    shutil.copyfile(Path(program.__file__).with_name("program.py"), folder / "program.py")
    for name, text in texts.items():
        (folder / name).touch(mode=0o600 if name in {PASSPHRASE, "state.json"} else 0o644)
        (folder / name).write_text(text, "utf-8")
    return sorted(folder.iterdir())


def _salt(state: dict[str, Any] | None) -> dict[str, str]:
    """What the configuration says of its secrets: the same passphrase as the state's, so that there is only one."""
    sealed = ((state or {}).get("deployment") or {}).get("secrets_providers") or {}
    salt = (sealed.get("state") or {}).get("salt") if sealed.get("type") == "passphrase" else None
    return {"encryptionsalt": salt} if salt else {}


def _readme(target: Target, *, deployed: bool) -> str:
    stage = target.blueprint.stage
    return _README.format(
        stage=stage,
        state=f"    pulumi stack import --stack {stage} --file state.json\n" if deployed else "",
        folder=target.paths.folder,
        project=target.blueprint.project,
    )
