"""scripts/_setup.py: what is in place stays, what changed or went missing comes again; refusals help."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


def script(name: str) -> ModuleType:
    """Load a script of the project as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


setup = script("_setup")
tally = script("_tally")


@pytest.fixture
def part(tmp_path: Path):
    """A part whose one package lies in a folder like a virtual environment's."""
    (tmp_path / "lib/python3.11/site-packages/some_thing-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "lib/python3.11/site-packages/other-2.0.dist-info").mkdir()
    return setup.Part("base", tmp_path, "key", 1, 1, lambda: None, frozenset({"some-thing"}))


def test_part_is_due_until_it_is_done(part) -> None:
    assert part.is_due()
    part.done()
    assert not part.is_due()


def test_part_is_due_when_its_lock_changed(part) -> None:
    part.done()
    changed = setup.Part("base", part.where, "other key", 1, 1, part.install, part.holds)
    assert changed.is_due()


def test_part_is_due_when_its_own_package_went_missing_and_no_other(part) -> None:
    part.done()
    (part.where / "lib/python3.11/site-packages/other-2.0.dist-info").rmdir()
    assert not part.is_due()
    (part.where / "lib/python3.11/site-packages/some_thing-1.0.dist-info").rmdir()
    assert part.is_due()


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"key": "key", "root": "/elsewhere"})])
def test_part_is_due_when_the_stamp_says_nothing_of_it(part, text: str) -> None:
    part.stamp.parent.mkdir()
    part.stamp.write_text(text)
    assert part.is_due()


def test_environment_made_elsewhere_is_seen(part) -> None:
    part.done()
    assert not setup.moved(part.where)
    part.stamp.write_text(json.dumps({"key": "key", "root": "/elsewhere"}))
    assert setup.moved(part.where)


def test_broken_environment_has_no_python(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    assert setup.python_of(tmp_path) == ""
    (tmp_path / "bin" / "python").symlink_to("/nonexistent/python")
    assert setup.python_of(tmp_path) == ""


def test_says_the_line_for_an_administrator_when_it_may_not_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "as_root", lambda: None)
    with pytest.raises(setup.SetupError) as refused:
        setup.install_debian(["bubblewrap", "python3.11-venv"])
    line = "sudo apt-get install -y --no-install-recommends bubblewrap python3.11-venv"
    assert line in str(refused.value)


@pytest.mark.parametrize(
    ("says", "want"), [("v18.19.0", "v18.19.0"), ("", "nothing"), ("nonsense", "nonsense")]
)
def test_refuses_an_old_node(monkeypatch, tmp_path: Path, says: str, want: str) -> None:
    for name in ("node", "npm"):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\necho '{says}'\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(setup.SetupError, match=want):
        setup.check_node()


def test_stops_before_the_disk_is_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    huge = setup.Part("torch", tmp_path, "key", 7, 10**12, lambda: None, frozenset())
    with pytest.raises(setup.SetupError, match="are free"):
        setup.announce([huge])
    assert "download     7 MB" in capsys.readouterr().err


def test_failed_command_shows_what_it_said(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(setup, "LOG", tmp_path / "log")
    with pytest.raises(setup.SetupError, match=r"ended with 3:\n  no such package"):
        setup.run(["sh", "-c", "echo no such package; exit 3"])
    assert "no such package" in (tmp_path / "log").read_text()


FORGE_SAYS = (
    "Ran 2 test suites in 1.2s (2.3s CPU time): 160 tests passed, 2 failed, 1 skipped (163 total tests)\n"
)


@pytest.mark.parametrize(
    ("forge", "total", "status"),
    [
        (FORGE_SAYS.replace("2 failed", "0 failed"), "163 passed, 0 failed, 2 skipped", 0),
        (FORGE_SAYS, "163 passed, 2 failed, 2 skipped", 1),
        ("compiler run failed\n", "3 passed, 1 failed, 1 skipped", 1),
        (None, "3 passed, 1 failed, 1 skipped", 1),
    ],
)
def test_tally_adds_up_and_counts_a_silent_runner_as_failed(
    monkeypatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    forge: str | None,
    total: str,
    status: int,
) -> None:
    monkeypatch.setattr(tally, "ROOT", tmp_path)  # no ape tests there
    junit = (
        '<testsuites><testsuite name="pytest" tests="4" failures="0" errors="0" skipped="1"/></testsuites>'
    )
    (tmp_path / "pytest.xml").write_text(junit)
    if forge is not None:
        (tmp_path / "forge.log").write_text(forge)
    assert tally.main(tmp_path, fast=False) == status
    assert capsys.readouterr().out.splitlines()[-1] == total
