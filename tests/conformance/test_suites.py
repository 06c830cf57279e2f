"""What the commands that run other people's suites read from them."""

from __future__ import annotations

from pathlib import Path

from tests.conformance import regress, suites
from tests.conformance.ways import differences


def test_differences_name_tests_that_ended_otherwise_or_ran_on_one_side() -> None:
    assert differences({"a": "ok", "b": "ok"}, {"a": "ok", "b": "ok"}) == []
    assert differences({"a": "ok", "b": "ok", "c": "ok"}, {"a": "ok", "b": "FAILED", "d": "ok"}) == [
        "b: ok direct, FAILED through the proxy",
        "c: ok direct, not run through the proxy",
        "d: not run direct, ok through the proxy",
    ]


def test_outcomes_of_pg_regress() -> None:
    said = (
        "test tablespace                   ... ok          301 ms\n"
        "parallel group (3 tests):  char boolean name\n"
        "     boolean                      ... ok           59 ms\n"
        "     char                         ... FAILED       63 ms\n"
        "     name                         ... failed (ignored)  4 ms\n"
        "========================\n 1 of 4 tests failed.\n"
    )
    expected = {"tablespace": "ok", "boolean": "ok", "char": "FAILED", "name": "failed (ignored)"}
    assert regress.outcomes(said) == expected


def test_outcomes_of_pytest(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="tests.a" name="one"/>'
        '<testcase classname="tests.a.B" name="two"><failure/><error/></testcase>'
        '<testcase classname="tests.a" name="three"><skipped/></testcase></testsuite></testsuites>'
    )
    assert suites.outcomes(report) == {
        "tests.a::one": "passed",
        "tests.a.B::two": "failure+error",
        "tests.a::three": "skipped",
    }


def test_node_of_a_test(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a.py").touch()
    assert suites.node(tmp_path, "tests.a.B::two") == "tests/a.py::B::two"
    assert suites.node(tmp_path, "tests.a::one") == "tests/a.py::one"
