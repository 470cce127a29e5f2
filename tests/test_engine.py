"""The embedded engine: previews, secrets, files, locks, failures."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bedplate.engine import UNKNOWN, Created, DiffKind, EmbeddedEngine, Properties, StackRef, diff_properties
from bedplate.problems import BedplateError, catalogue
from engine_cloud import Bench, Cloud, Thing, build, ops

TESTS = Path(__file__).parent


def bench_in(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "dev")


def refused(call: Any, code: str) -> Any:
    """The first problem of the error that `call` raises."""
    with pytest.raises(BedplateError) as caught:
        call()
    assert caught.value.problems[0].code == code
    return caught.value.problems[0]


def test_importing_the_engine_and_reading_a_state_imports_no_pulumi(tmp_path: Path) -> None:
    """Commands that only look at a stack do not pay for the SDK."""
    bench_in(tmp_path).up([{"name": "a"}])
    code = (
        "import sys; from pathlib import Path; from bedplate.engine import EmbeddedEngine, StackRef\n"
        "e = EmbeddedEngine({}); s = StackRef('shop', 'dev', Path(sys.argv[1]))\n"
        "assert [r.name for r in e.resources(s)] == ['shop-dev', 'a'], e.resources(s)\n"
        "assert e.outputs(s) == {}\n"
        "assert not {'pulumi', 'grpc', 'cryptography'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "dev")], check=True)


def test_a_preview_shows_unknowns_at_any_depth(tmp_path: Path) -> None:
    """An output of a new resource is unknown wherever it stands in another's inputs and in the stack's outputs."""
    bench = bench_in(tmp_path)
    found = bench.preview([{"name": "a"}, {"name": "b", "refs": ["a"]}], exports={"x": "b.address", "n": "b.name"})
    [step] = [s for s in found.steps if s.name == "b"]
    assert step.new_inputs == {"name": "b", "size": 1, "refs": [UNKNOWN]}
    assert found.outputs == {"n": "b", "x": UNKNOWN}


def test_a_preview_of_a_replacement_makes_its_dependents_updates(tmp_path: Path) -> None:
    """What a replacement will change is unknown, and a difference to unknown is an update."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}, {"name": "b", "refs": ["a"]}])
    found = bench.preview([{"name": "a", "props": {"zone": "y"}}, {"name": "b", "refs": ["a"]}])
    [step] = [s for s in found.steps if s.name == "b"]
    assert (step.op, step.diff) == ("update", {"refs[0]": DiffKind.UPDATE})


def test_a_note_without_a_changed_property_is_an_update(tmp_path: Path) -> None:
    """A provider may say `not running`: preview and update honour it, and it is done once."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    bench.cloud.stopped.add("a")
    [step] = bench.preview([{"name": "a"}]).changes
    assert (step.op, step.note, step.diff) == ("update", "not running", {})
    assert ops(bench.up([{"name": "a"}])) == ["update a"]
    assert ops(bench.up([{"name": "a"}])) == ["same a"]


def test_an_update_without_changes_costs_a_check_and_a_diff_and_writes_nothing(tmp_path: Path) -> None:
    """No file of the stack is touched, and each resource is checked and compared once."""
    bench = bench_in(tmp_path)
    program = [{"name": "a"}, {"name": "b", "refs": ["a"]}]
    bench.up(program, exports={"t": "a.token"})
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in bench.stack.folder.iterdir()}
    bench.cloud.calls.clear()
    bench.up(program, exports={"t": "a.token"})
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in bench.stack.folder.iterdir()} == before
    assert sorted(bench.cloud.calls) == [("check", "a"), ("check", "b"), ("diff", "a"), ("diff", "b")]


def test_secrets_are_masked_for_people_and_encrypted_on_disk(tmp_path: Path) -> None:
    """No file holds a secret in plain text, no step or output shows one, and the provider still gets it."""
    bench = bench_in(tmp_path)
    specs = [{"name": "a", "props": {"code": "geheim", "deep": {"n": [1]}}, "secret": ["code"]}]
    outcome = bench.up(specs, exports={"code": "a.code", "token": "a.token"})
    assert outcome.outputs == {"code": "[secret]", "token": "[secret]"}
    assert bench.engine.outputs(bench.stack) == outcome.outputs
    assert [t["code"] for t in bench.cloud.things.values()] == ["geheim"]
    shown = repr((outcome, bench.events, bench.engine.resources(bench.stack)))
    kept = b"".join(p.read_bytes() for p in bench.stack.folder.iterdir())
    assert "geheim" not in shown
    assert "hunter2" not in shown
    assert b"geheim" not in kept
    assert b"hunter2" not in kept
    assert (bench.stack.folder / "state.key").stat().st_mode & 0o777 == 0o600
    assert (bench.stack.folder / "state.json").stat().st_mode & 0o777 == 0o600


def test_a_changed_secret_keeps_the_ciphertext_of_the_others(tmp_path: Path) -> None:
    """Encrypting again what did not change would make every update look like a change of every secret."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}, {"name": "b"}])
    before = {r["urn"]: r["outputs"].get("token") for r in bench.state()["resources"]}
    bench.up([{"name": "a"}, {"name": "b", "props": {"size": 2}}])
    assert {r["urn"]: r["outputs"].get("token") for r in bench.state()["resources"]} == before


def test_a_passphrase_from_the_environment_is_used_and_a_wrong_one_refused(tmp_path: Path) -> None:
    """With PULUMI_CONFIG_PASSPHRASE no key file is made, and another passphrase opens nothing."""
    cloud = Cloud()
    stack = StackRef("shop", "dev", tmp_path / "dev")

    def engine(passphrase: str) -> EmbeddedEngine:
        return EmbeddedEngine({Thing.type: Thing(cloud)}, environment={"PULUMI_CONFIG_PASSPHRASE": passphrase})

    engine("right").up(stack, build([{"name": "a"}]), {})
    assert not (stack.folder / "state.key").exists()
    assert engine("right").up(stack, build([{"name": "a"}]), {}).changes == ()
    assert "state.key" in refused(lambda: engine("wrong").up(stack, build([{"name": "a"}]), {}), "BP214").fix
    assert [r.name for r in engine("wrong").resources(stack)] == ["shop-dev", "a"]


def test_state_is_a_pulumi_deployment_of_version_3(tmp_path: Path) -> None:
    """Providers, parents and dependencies precede, references exist, and every live URN is there once."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "box", "type": "Component"}, {"name": "a", "parent": "box"}, {"name": "b", "refs": ["a"]}])
    state = json.loads((bench.stack.folder / "state.json").read_text())
    assert state["version"] == 3
    resources = state["deployment"]["resources"]
    seen: set[str] = set()
    for resource in resources:
        assert {resource.get("parent", ""), *resource.get("dependencies", ())} - {""} <= seen
        if resource["urn"].count("test:index:Thing"):
            provider, _, provider_id = resource["provider"].rpartition("::")
            assert [r["id"] for r in resources if r["urn"] == provider] == [provider_id]
        seen.add(resource["urn"])
    assert len(seen) == len(resources)
    assert resources[-1]["propertyDependencies"]["refs"] == [resources[-2]["urn"]]
    assert "urn:pulumi:dev::shop::test:index:Component$test:index:Thing::a" in seen


def test_fields_of_other_engines_survive_an_update(tmp_path: Path) -> None:
    """A field that this engine does not know stays in the state it came with."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    path = bench.stack.folder / "state.json"
    state = json.loads(path.read_text())
    state["deployment"]["resources"][-1]["sourcePosition"] = "project:///main.py#3,1"
    path.write_text(json.dumps(state))
    bench.up([{"name": "a", "props": {"size": 4}}])
    assert bench.state()["resources"][-1]["sourcePosition"] == "project:///main.py#3,1"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{"version": 3, "deployment": {"resour', "BP211"),
        ("[]", "BP211"),
        ('{"version": 3, "deployment": {"resources": [{"type": "x"}]}}', "BP211"),
        ('{"version": 3, "deployment": {"resources": [3]}}', "BP211"),
        ('{"version": 9, "deployment": {}}', "BP212"),
        ("", "BP211"),
    ],
)
def test_a_damaged_state_is_refused_with_the_way_to_mend_it(content: str, code: str, tmp_path: Path) -> None:
    """Cut short, wrong or from the future: every command refuses it, leaves it alone, and names the backup."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    bench.up([{"name": "a", "props": {"size": 2}}])
    path = bench.stack.folder / "state.json"
    path.write_text(content)
    for call in (lambda: bench.up([]), lambda: bench.preview([]), lambda: bench.engine.destroy(bench.stack)):
        problem = refused(call, code)
        assert code == "BP212" or "state.json.bak" in problem.fix
    refused(lambda: bench.engine.outputs(bench.stack), code)
    assert path.read_text() == content
    assert len(bench.cloud.things) == 1
    path.with_name("state.json.bak").replace(path)
    assert ops(bench.up([{"name": "a", "props": {"size": 2}}])) == ["update a"]


def test_a_journal_cut_short_is_replayed_up_to_the_cut_and_a_damaged_one_refused(tmp_path: Path) -> None:
    """A line without its end was never acted on; a broken line in the middle is not guessed at."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    folder = bench.stack.folder
    base = __import__("hashlib").sha256((folder / "state.json").read_bytes()).hexdigest()
    urn = "urn:pulumi:dev::shop::test:index:Thing::a"
    head = json.dumps({"journal": 1, "base": base}) + "\n"
    drop = json.dumps({"changes": [["drop", urn, ""]]}) + "\n"
    (folder / "journal.jsonl").write_text(head + drop + '{"changes": [["put", {"ur')
    assert [r.name for r in bench.engine.resources(bench.stack)] == ["shop-dev"]
    (folder / "journal.jsonl").write_text(head + '{"chan\n' + drop)
    assert str(refused(lambda: bench.up([]), "BP211").where).endswith("journal.jsonl:2")
    (folder / "journal.jsonl").write_text(head.replace(base[:8], "00000000") + drop)
    refused(lambda: bench.up([]), "BP215")
    (folder / "journal.jsonl").write_text('{"jour')
    assert ops(bench.up([{"name": "a"}])) == ["same a"]


def test_a_failed_program_deletes_nothing_and_keeps_the_old_outputs(tmp_path: Path) -> None:
    """An exception of the program is one problem at its line; what was made is recorded."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}, {"name": "b"}], exports={"x": "a.address"})

    def program() -> None:
        build([{"name": "a"}, {"name": "c"}], {"x": "c.address"})()
        raise ValueError("no such colour")

    problem = refused(lambda: bench.engine.up(bench.stack, program, {}), "BP201")
    assert problem.summary == "the program raised ValueError: no such colour"
    assert problem.where.file.endswith("test_engine.py")
    assert problem.where.line == program.__code__.co_firstlineno + 2
    assert bench.engine.outputs(bench.stack) == {"x": "at/a-1"}
    assert {r.name for r in bench.engine.resources(bench.stack)} == {"shop-dev", "a", "b", "c"}


def test_outputs_and_resources_of_a_stack_that_was_never_deployed(tmp_path: Path) -> None:
    """There are none, which differs from an empty set of outputs."""
    bench = bench_in(tmp_path)
    assert bench.engine.outputs(bench.stack) is None
    assert bench.engine.resources(bench.stack) == ()
    assert not bench.stack.folder.exists()
    assert bench.engine.destroy(bench.stack).changes == ()


def test_config_reaches_the_program(tmp_path: Path) -> None:
    """A key without a namespace belongs to the project; another namespace is kept."""
    bench, seen = bench_in(tmp_path), []

    def program() -> None:
        import pulumi

        seen.append((pulumi.Config().get("colour"), pulumi.Config("aws").get("region"), pulumi.get_stack()))

    bench.engine.up(bench.stack, program, {"colour": "red", "aws:region": "eu-west-1"})
    assert seen == [("red", "eu-west-1", "dev")]


def test_a_resource_outside_of_the_stack_is_read_and_never_deleted(tmp_path: Path) -> None:
    """Reading takes its properties; when the program drops it, only the state forgets it."""
    bench = bench_in(tmp_path)
    made = Thing(bench.cloud).create({"name": "z", "size": 7})

    def program() -> None:
        import pulumi

        found = pulumi.CustomResource(Thing.type, "z", {"name": None, "size": None}, pulumi.ResourceOptions(id=made.id))
        pulumi.export("size", found.size)

    assert bench.engine.up(bench.stack, program, {}).outputs == {"size": 7}
    assert ops(bench.engine.up(bench.stack, program, {})) == ["read z"]
    bench.up([])
    assert made.id in bench.cloud.things
    assert [r.name for r in bench.engine.resources(bench.stack)] == ["shop-dev"]
    bench.cloud.things.clear()
    assert (
        "no test:index:Thing with the id" in refused(lambda: bench.engine.up(bench.stack, program, {}), "BP208").summary
    )


def test_a_bug_in_a_resource_type_is_reported_as_one(tmp_path: Path) -> None:
    """An exception that a provider did not explain names the resource, the type and the place."""

    class Broken(Thing):
        def create(self, news: Properties) -> Created:
            return Created("x", {"sum": 1 / 0, **news})

    engine = EmbeddedEngine({Thing.type: Broken(Cloud())}, environment={})
    stack = StackRef("shop", "dev", tmp_path / "dev")
    problem = refused(lambda: engine.up(stack, build([{"name": "a"}]), {}), "BP207")
    assert "a: test:index:Thing failed unexpectedly with ZeroDivisionError" in problem.summary
    assert "test_engine.py" in problem.detail


def test_destroy_deletes_in_reverse_respects_protect_and_leaves_no_file(tmp_path: Path) -> None:
    """Nothing is deleted while something protected is in the stack; afterwards the folder is empty."""
    bench = bench_in(tmp_path)
    program = [{"name": "a", "options": {"protect": True}}, {"name": "b", "refs": ["a"]}]
    bench.up(program)
    assert refused(lambda: bench.engine.destroy(bench.stack), "BP206").summary.startswith("a is protected")
    assert len(bench.cloud.things) == 2
    program[0] = {"name": "a"}
    bench.up(program)
    assert ops(bench.engine.destroy(bench.stack)) == ["delete b", "delete a"]
    assert bench.cloud.violations == []
    assert list(bench.stack.folder.iterdir()) == []


def test_events_tell_the_start_and_end_of_each_step(tmp_path: Path) -> None:
    """`started` and `done` for what works, `failed` with the reason for what does not, `log` for the program."""
    bench = bench_in(tmp_path)

    def program() -> None:
        import pulumi

        pulumi.log.info("hello")
        build([{"name": "a"}])()

    bench.cloud.fail = {("create", "a")}
    refused(lambda: bench.engine.up(bench.stack, program, {}, on_event=bench.events.append), "BP205")
    told = [(e.kind, e.step.name if e.step else "", e.message) for e in bench.events]
    assert ("log", "", "hello") in told
    assert told[-2:] == [("started", "a", ""), ("failed", "a", "BP205: the cloud refuses to create")]


def test_stacks_in_several_threads_do_not_see_each_other(tmp_path: Path) -> None:
    """Four programs at once each deploy their own resources."""
    benches = [Bench(tmp_path / str(n), secrets=False) for n in range(4)]
    threads = [
        threading.Thread(target=bench.up, args=([{"name": f"a{n}"}, {"name": f"b{n}", "refs": [f"a{n}"]}],))
        for n, bench in enumerate(benches)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, bench in enumerate(benches):
        assert {r.name for r in bench.engine.resources(bench.stack)} == {"shop-dev", f"a{n}", f"b{n}"}


SLOW = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from engine_cloud import Bench, build
def program():
    print("running", flush=True)
    time.sleep(60)
bench = Bench(Path(sys.argv[1]))
bench.engine.up(bench.stack, program, {})
"""


def test_a_second_update_is_refused_and_a_dead_owner_is_not_in_the_way(tmp_path: Path) -> None:
    """The lock names its owner and exits with 6; when the owner is killed the next update runs at once."""
    bench = bench_in(tmp_path)
    command = [sys.executable, "-c", SLOW, str(bench.stack.folder), str(TESTS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "running\n"
        with pytest.raises(BedplateError) as caught:
            bench.up([])
        lock = json.loads((bench.stack.folder / "lock.json").read_text())
        assert ops(bench.preview([{"name": "a"}])) == ["create a"]
        owner.kill()
    assert caught.value.exit_code == 6
    assert f"process {owner.pid} of" in caught.value.problems[0].summary
    assert {"pid", "host", "user", "purpose", "started", "expires"} <= set(lock)
    assert ops(bench.up([{"name": "a"}])) == ["create a"]
    assert not (bench.stack.folder / "lock.json").exists()


def test_a_lease_of_another_machine_is_respected_until_it_ends(tmp_path: Path) -> None:
    """On a shared folder the lease decides, since the kernel of one machine knows nothing of the other's processes."""
    bench = bench_in(tmp_path)
    bench.stack.folder.mkdir()
    lock = {"pid": 1, "user": "u", "host": "elsewhere.invalid", "purpose": "up", "started": "t", "expires_at": 9e12}
    (bench.stack.folder / "lock.json").write_text(json.dumps(lock))
    assert "elsewhere.invalid" in refused(lambda: bench.up([]), "BP210").summary
    (bench.stack.folder / "lock.json").write_text(json.dumps({**lock, "expires_at": 1}))
    bench.up([])


def test_of_many_updates_at_once_one_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    """However many race for it, no two are ever inside."""
    from bedplate.engine.lock import held

    inside, most, entered = 0, 0, 0
    guard = threading.Lock()

    def race() -> None:
        nonlocal inside, most, entered
        for _ in range(40):
            try:
                with held(tmp_path / "lock.json", "up", lambda: 1.0):
                    with guard:
                        inside, entered = inside + 1, entered + 1
                        most = max(most, inside)
                    with guard:
                        inside -= 1
            except BedplateError as error:
                codes.append(error.problems[0].code)

    codes: list[str] = []
    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, entered + len(codes)) == (1, 240)
    assert set(codes) <= {"BP210"}


FULL = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from engine_cloud import Bench
from bedplate.problems import BedplateError
bench = Bench(Path(sys.argv[1]), secrets=False)
bench.up([{"name": "a"}])
before = (bench.stack.folder / "state.json").read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    bench.up([{"name": "a"}, *({"name": f"n{i}", "props": {"text": "x" * 300}} for i in range(20))])
except BedplateError as error:
    assert error.problems[0].code == "BP213", error
    assert (bench.stack.folder / "state.json").read_bytes() == before
    print(error.problems[0].summary)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
bench.up([{"name": "a"}, *({"name": f"n{i}", "props": {"text": "x" * 300}} for i in range(20))])
assert len({t["name"] for t in bench.cloud.things.values()}) == 21
state = {r["id"] for r in bench.state()["resources"] if r["type"] == "test:index:Thing"}
assert len(state) == 21, state
assert bench.state()["pending_operations"] == []
"""


@pytest.mark.parametrize("room", [10, 3000, 9000])
def test_a_full_disk_is_a_clear_error_and_the_next_update_goes_on(room: int, tmp_path: Path) -> None:
    """No byte more can be written: the old state is intact, the error says so, and nothing is forgotten."""
    command = [sys.executable, "-c", FULL, str(tmp_path / "dev"), str(TESTS), str(room)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cannot write ")


def test_an_interrupted_create_is_finished_even_when_the_program_has_dropped_it(tmp_path: Path) -> None:
    """What may exist is made known before it is deleted, so that nothing is orphaned; an event tells of it."""
    bench = bench_in(tmp_path)
    bench.up([{"name": "a"}])
    path = bench.stack.folder / "state.json"
    state = json.loads(path.read_text())
    resource = {**state["deployment"]["resources"][-1]}
    resource |= {"urn": resource["urn"][:-1] + "b", "inputs": {"name": "b", "size": 1}, "outputs": {}}
    del resource["id"]
    state["deployment"]["pending_operations"] = [{"type": "creating", "resource": resource}]
    path.write_text(json.dumps(state))
    bench.events.clear()
    assert ops(bench.up([{"name": "a"}])) == ["same a", "delete b"]
    assert [e.message for e in bench.events if e.kind == "log"] == [
        "b: creating was interrupted; it was created again as b-2"
    ]
    assert ("create", "b") in bench.cloud.calls
    assert list(bench.cloud.things) == ["a-1"]


def test_nested_differences_have_the_paths_that_pulumi_gives_them() -> None:
    """Keys are dotted, indices and odd keys in brackets; true is not 1; unknown differs from everything."""
    old = {"a": {"b": 1, "x.y": 2}, "l": [1, 2, 3], "t": True, "u": 1, "gone": 0}
    new = {"a": {"b": 2, "x.y": 3}, "l": [1, 9], "t": 1, "u": UNKNOWN, "came": None}
    assert dict(diff_properties(old, new, frozenset({"l"})).properties) == {
        "a.b": DiffKind.UPDATE,
        'a["x.y"]': DiffKind.UPDATE,
        "l[1]": DiffKind.UPDATE_REPLACE,
        "l[2]": DiffKind.DELETE_REPLACE,
        "t": DiffKind.UPDATE,
        "u": DiffKind.UPDATE,
        "gone": DiffKind.DELETE,
        "came": DiffKind.ADD,
    }
    assert not diff_properties(old, old).changes


class _Typed(Thing):
    """Remembers the types of what it is given."""

    seen: ClassVar[list[Any]] = []

    def create(self, news: Properties) -> Created:
        self.seen.append(dict(news))
        return super().create(news)


def test_whole_numbers_stay_integers_on_their_way_to_a_provider(tmp_path: Path) -> None:
    """The wire knows doubles only, but a port is no 8080.0."""
    engine = EmbeddedEngine({Thing.type: _Typed(Cloud())}, environment={})
    program = build([{"name": "a", "props": {"port": 8080, "share": 0.5, "on": True, "deep": [{"n": 3}]}}])
    engine.up(StackRef("shop", "dev", tmp_path / "dev"), program, {})
    assert repr(_Typed.seen[-1]["port"]) == "8080"
    assert repr(_Typed.seen[-1]["deep"]) == "[{'n': 3}]"
    assert (_Typed.seen[-1]["share"], _Typed.seen[-1]["on"]) == (0.5, True)


def test_every_code_that_the_engine_raises_stands_in_the_catalogue() -> None:
    """Codes in the engine's source and codes explained for it are the same set."""
    import re

    import bedplate.engine

    [folder] = bedplate.engine.__path__
    used = {code for path in Path(folder).glob("*.py") for code in re.findall(r"BP2\d\d", path.read_text("utf-8"))}
    assert used == {code for code, entry in catalogue().items() if entry.area == "engine"}
