#!/usr/bin/python3
"""Runs every test that `make test` built and ends with a line `N passed, N failed, N skipped`.

The output of each program goes to build/test-logs/; what failed is shown, and why tests were skipped. The exit status is 1 if anything
failed or nothing ran.
"""
import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "test-logs"
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Result:
    """What a program's output says: how many tests passed, failed and were skipped, and why tests were skipped."""

    def __init__(self, passed, failed, skipped=0, reasons=()):
        self.passed, self.failed, self.skipped = passed, failed, skipped
        self.reasons = [*reasons, *["no reason given"] * (skipped - len(reasons))]


class Job:
    """One program: how it is called, and how its output is counted."""

    def __init__(self, suite, name, command, count, timeout_s, env=None, alone=False):
        self.suite, self.name, self.command, self.count = suite, name, [str(part) for part in command], count
        self.timeout_s, self.env, self.alone = timeout_s, env or {}, alone

    def run(self):
        """Runs the program. If it ends badly without saying what failed, or ran no test, that counts as one failure."""
        log = LOGS / (self.name.replace("/", "-") + ".log")
        started = time.monotonic()
        with log.open("w") as out:
            try:
                status = subprocess.run(self.command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=ROOT,
                                        env={**os.environ, **SANITIZERS, **self.env}, timeout=self.timeout_s, check=False).returncode
                if status < 0:
                    out.write(f"\nended by signal {-status}\n")
            except subprocess.TimeoutExpired:
                out.write(f"\nstopped after {self.timeout_s} s\n")
                status = -1
            except OSError as error:
                out.write(f"{error}\n")
                status = -1
        text = log.read_text(errors="replace")
        result = self.count(text, status)
        if result.failed == 0 and (status != 0 or result.passed + result.skipped == 0):
            result.failed = 1
        print(f"{'ok    ' if result.failed == 0 else 'FAILED'} {self.name:40} {result.passed:5} passed {result.failed:3} failed"
              f" {result.skipped:3} skipped {time.monotonic() - started:7.1f} s", flush=True)
        if result.failed:
            print(f"--- the end of {log.relative_to(ROOT)}:\n" + "\n".join(text.splitlines()[-60:]), flush=True)
        return result


def total(pattern, text):
    return sum(int(n) for n in re.findall(pattern, text))


def count_cmocka(text, _status):
    return Result(total(r"\[  PASSED  \] (\d+) test", text), total(r"(\d+) FAILED TEST", text), total(r"(\d+) SKIPPED TEST", text),
                  re.findall(r"\[  REASON  \] (.*)", text))


def count_pytest(text, _status):
    last = text.splitlines()[-1] if text.splitlines() else ""
    reasons = []
    for count, reason in re.findall(r"^SKIPPED \[(\d+)\] \S+: (.*)", text, re.MULTILINE):
        reasons += [reason] * int(count)
    return Result(total(r"(\d+) passed", last), total(r"(\d+) (?:failed|error)", last), total(r"(\d+) skipped", last), reasons)


def count_scripts(text, _status):
    last = text.splitlines()[-1] if text.splitlines() else ""
    return Result(total(r"(\d+) passed", last), total(r"(\d+) failed", last))


def count_program(_text, status):
    return Result(1, 0) if status == 0 else Result(0, 1)


def programs(folder, pattern, sources="unit"):
    """The programs in `folder` that were built from tests/<sources>/<pattern>.c; programs whose source is gone are left out."""
    return [folder / source.stem for source in sorted((ROOT / "tests" / sources).glob(f"{pattern}.c")) if (folder / source.stem).exists()]


def unit_jobs(_options):
    for variant, folder in (("release", BUILD), ("asan", BUILD / "asan"), ("tsan", BUILD / "tsan")):
        for path in programs(folder, "test_*"):
            yield Job("unit", f"{variant}/{path.name}", [path], count_cmocka, 600)


def tcp_jobs(_options):
    scripts = sorted((ROOT / "tests/tcp").glob("*/*.script"))
    for variant, folder in (("release", BUILD), ("asan", BUILD / "asan"), ("tsan", BUILD / "tsan")):
        if (folder / "tcp_script").exists():
            yield Job("tcp", f"{variant}/tcp_script", [folder / "tcp_script", *scripts], count_scripts, 600)


def arm64_jobs(options):
    """The unit tests and the simulator under qemu-user, which is slow: their time-outs are longer."""
    emulator = ["qemu-aarch64", "-L", BUILD / "arm64-root"]
    for path in programs(BUILD / "arm64", "test_*"):
        yield Job("arm64", f"arm64/{path.name}", [*emulator, path], count_cmocka, 1200)
    yield Job("arm64", "arm64/sim", [*emulator, BUILD / "arm64/sim", "--seeds", options.seeds], count_program, 1200)


def kernel_jobs(_options):
    """The tests that depend on the kernel, one after the other and with long time-outs."""
    for path in [*programs(BUILD, "test_engine_*"), *programs(BUILD, "test_channel")]:
        yield Job("kernel", path.name, [path], count_cmocka, 1800, alone=True)
    env = {"FLASHRELAY_BIN": str(BUILD), "FLASHRELAY_TEST_SCALE": "0.1", "FLASHRELAY_TEST_PATIENCE_S": "120"}
    for name in ("routes", "protocol", "fanout", "lag", "limits", "upstreams", "keys", "health", "compression", "shutdown", "container",
                 "faults", "busy_poll", "ws_echo"):
        yield Job("kernel", f"e2e/test_{name}", ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider",
                                                ROOT / f"tests/e2e/test_{name}.py"], count_pytest, 7200, env, alone=True)


def sim_jobs(options):
    yield Job("sim", "release/sim", [BUILD / "sim", "--seeds", options.seeds], count_program, 300)
    yield Job("sim", "asan/sim", [BUILD / "asan/sim", "--seeds", max(1, options.seeds // 10)], count_program, 300)


def tcp_sim_jobs(options):
    """The seeds are fewer where the sanitizers slow them down."""
    for variant, folder, share in (("release", BUILD, 1), ("asan", BUILD / "asan", 10), ("tsan", BUILD / "tsan", 40)):
        if (folder / "tcp_sim").exists():
            yield Job("sim", f"{variant}/tcp_sim", [folder / "tcp_sim", "--seeds", max(1, options.tcp_seeds // share)], count_program, 300)


def stress_jobs(_options):
    yield Job("stress", "tsan/channel_stress", [BUILD / "tsan/channel_stress", "15"], count_program, 120, alone=True)


def fuzz_jobs(options):
    for path in programs(BUILD / "fuzz", "fuzz_*", "fuzz"):
        corpus = ROOT / "tests/fuzz/corpus" / path.name
        grown = BUILD / "fuzz-corpus" / path.name
        grown.mkdir(parents=True, exist_ok=True)
        yield Job("fuzz", f"fuzz/{path.name}",
                  [path, f"-max_total_time={options.fuzz_seconds}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
                   f"-artifact_prefix={LOGS}/{path.name}-", grown, *([corpus] if corpus.is_dir() else [])],
                  count_program, options.fuzz_seconds + 120)


def e2e_jobs(_options):
    """
    One job per file: the tests mostly wait, so several files at once take no longer than one. Files that measure, or load the machine, run
    alone. Files that check figures, files or texts rather than threads do not run with the thread sanitizer.
    """
    not_for_tsan = ("test_cli", "test_container", "test_dpdk_cli", "test_dpdk_demo", "test_dpdk_faults", "test_flashbench", "test_hardening", "test_readme", "test_run")
    for variant, folder, scale, without in (("release", BUILD, "1", ()), ("asan", BUILD / "asan", "0.1", ()),
                                            ("tsan", BUILD / "tsan", "0.1", not_for_tsan)):
        env = {"FLASHRELAY_BIN": str(folder), "FLASHRELAY_TEST_SCALE": scale}
        for path in sorted((ROOT / "tests/e2e").glob("test_*.py")):
            if path.stem not in without:
                yield Job("dpdk" if path.stem.startswith("test_dpdk_") else "e2e", f"{variant}/e2e/{path.stem}",
                          ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", path], count_pytest, 600, env,
                          alone=path.stem in ("test_load", "test_flashbench"))


def epoll_jobs(_options):
    """The end-to-end tests whose result may depend on the engine, once more on epoll; e2e_jobs runs them on the relay's choice."""
    for stem in ("busy_poll", "compression", "fanout", "faults", "health", "keys", "lag", "limits", "load", "logs", "metrics", "protocol",
                 "routes", "run", "shutdown", "tools", "upstreams", "ws_echo"):
        env = {"FLASHRELAY_BIN": str(BUILD), "FLASHRELAY_TEST_ENGINE": "epoll", "FLASHRELAY_TEST_SCALE": "0.3" if stem == "load" else "1"}
        yield Job("e2e", f"epoll/e2e/test_{stem}",
                  ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", ROOT / f"tests/e2e/test_{stem}.py"],
                  count_pytest, 600, env, alone=stem == "load")


def port_job(stem, port, scale="1", chosen="", **options):
    """The end-to-end tests of a file on the engine dpdk, whose TCP speaks with the kernel's through a tap or by af_xdp; `chosen` as for -k."""
    env = {"FLASHRELAY_BIN": str(BUILD), "FLASHRELAY_TEST_ENGINE": "dpdk", "FLASHRELAY_TEST_PORT": port, "FLASHRELAY_TEST_SCALE": scale}
    return Job("dpdk", f"{port}/e2e/test_{stem}",
               ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-k", chosen,
                ROOT / f"tests/e2e/test_{stem}.py"], count_pytest, 600, env, **options)


def dpdk_jobs(_options):
    """The end-to-end tests whose result may depend on the engine's TCP."""
    for stem in ("compression", "fanout", "faults", "lag", "shutdown"):
        yield port_job(stem, "tap")
    yield port_job("protocol", "tap", chosen="not what_breaks_the_protocol")
    yield port_job("load", "tap", "0.1", alone=True)
    yield port_job("lag", "af_xdp")


def long_dpdk_jobs(_options):
    """What takes too long for every run: all of them by af_xdp, and many subscribers of the kernel's TCP."""
    for stem in ("health", "keys", "limits", "protocol", "routes"):
        yield port_job(stem, "tap")
    for stem in ("compression", "fanout", "faults", "health", "keys", "limits", "protocol", "routes", "shutdown"):
        yield port_job(stem, "af_xdp")
    for name, flags in (("of 1000 x 25 kB", ["--seconds=30"]),
                        ("of 10000 x 4 kB", ["--subscribers=10000", "--size=4k", "--interval=1s", "--seconds=30"])):
        yield Job("dpdk", f"demo {name}", [BUILD / "demo", "--dpdk", *flags], count_program, 200, alone=True)


def run_all(jobs):
    """
    Runs as many jobs at once as there are cores, then twice as many end-to-end tests at once, then all those on taps, which mostly wait for
    the proof that the addresses of their relays are free, then one after the other the jobs that run alone. Returns pairs of job and result.
    """
    results = []
    for workers, chosen in ((os.cpu_count(), [job for job in jobs if not job.alone and job.suite not in ("e2e", "dpdk")]),
                            (2 * os.cpu_count(), [job for job in jobs if not job.alone and job.suite == "e2e"]),
                            (6 * os.cpu_count(), [job for job in jobs if not job.alone and job.suite == "dpdk"]),
                            (1, [job for job in jobs if job.alone])):
        with ThreadPoolExecutor(workers) as pool:
            results += zip(chosen, pool.map(Job.run, chosen))
    return results


def print_skips(results):
    """Prints one line per program and reason."""
    for job, result in results:
        for reason, count in Counter(result.reasons).items():
            print(f"skipped {job.name:40} {count} test{'' if count == 1 else 's'}: {reason}")


SUITES = {"unit": unit_jobs, "tcp": tcp_jobs, "sim": sim_jobs, "tcp_sim": tcp_sim_jobs, "fuzz": fuzz_jobs, "stress": stress_jobs, "e2e": e2e_jobs, "epoll": epoll_jobs,
          "dpdk": dpdk_jobs}
# Suites that run only if --only names them.
NAMED_SUITES = {"arm64": arm64_jobs, "kernel": kernel_jobs, "dpdk-long": long_dpdk_jobs}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*SUITES, *NAMED_SUITES], help="run one suite")
    parser.add_argument("--fuzz-seconds", type=int, default=5, help="for each fuzzer (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=3000, help="for the simulator (default %(default)s)")
    parser.add_argument("--tcp-seeds", type=int, default=2000, help="for the simulator of the TCP engine (default %(default)s)")
    options = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    jobs = [job for suite in ([options.only] if options.only else SUITES) for job in {**SUITES, **NAMED_SUITES}[suite](options)]

    results = run_all(jobs)
    print_skips(results)
    passed = sum(result.passed for _, result in results)
    failed = sum(result.failed for _, result in results)
    skipped = sum(result.skipped for _, result in results)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
