"""tests/run.py counts the results that its programs print."""
import importlib.util
import sys
import textwrap

import pytest

from harness import ROOT

CMOCKA = """[==========] Running 4 test(s).
[ RUN      ] a
[  REASON  ] the kernel has no such thing
[  SKIPPED ] a
[ RUN      ] b
[  SKIPPED ] b
[ RUN      ] c
[       OK ] c
[ RUN      ] d
[  FAILED  ] d
[==========] 4 test(s) run.
[  PASSED  ] 1 test(s).
[  SKIPPED ] 2 test(s), listed below:
[  SKIPPED ] a
[  SKIPPED ] b

 2 SKIPPED TEST(S)
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] d

 1 FAILED TEST(S)
"""

PYTEST = textwrap.dedent("""
    import pytest

    def test_a():
        pass

    @pytest.mark.parametrize("n", [1, 2])
    def test_b(n):
        pytest.skip("not here: ever")
""")


@pytest.fixture
def run(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("run", ROOT / "tests/run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LOGS", tmp_path)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def numbers(result):
    return result.passed, result.failed, result.skipped


def test_cmocka_skips_are_counted_with_their_reasons(run):
    result = run.count_cmocka(CMOCKA, 1)
    assert numbers(result) == (1, 1, 2)
    assert result.reasons == ["the kernel has no such thing", "no reason given"]


def test_pytest_skips_are_counted_with_their_reasons(run, tmp_path, capsys):
    path = tmp_path / "test_some.py"
    path.write_text(PYTEST)
    job = run.Job("e2e", "some", [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", path], run.count_pytest, 60)
    result = job.run()
    assert numbers(result) == (1, 0, 2)
    run.print_skips([(job, result)])
    assert "2 tests: not here: ever" in capsys.readouterr().out


@pytest.mark.parametrize("command, expected", [
    (["true"], (0, 1, 0)), # ran no test
    (["false"], (0, 1, 0)),
    (["/nowhere"], (0, 1, 0)),
    (["sh", "-c", "echo '[  PASSED  ] 3 test(s).'"], (3, 0, 0)),
    (["sh", "-c", "echo '[  PASSED  ] 3 test(s).'; exit 1"], (3, 1, 0)),
])
def test_a_program_that_ends_badly_or_tests_nothing_has_failed(run, command, expected):
    assert numbers(run.Job("unit", "some", command, run.count_cmocka, 60).run()) == expected
