#!/usr/bin/python3
"""Runs the benchmarks of two builds alternately and prints the ratio of each: median of the rounds, with its spread."""

import argparse
import json
import statistics
import subprocess
import sys


def names_of(program):
    listing = subprocess.run([program, "--benchmark_list_tests"], check=True, capture_output=True, text=True)
    return [line for line in listing.stdout.split() if line]


def time_of(program, name, seconds):
    """Nanoseconds per iteration: CPU time, or wall-clock time where the benchmark has threads."""
    pattern = f"^{name}$"
    run = subprocess.run(
        [program, f"--benchmark_filter={pattern}", f"--benchmark_min_time={seconds}", "--benchmark_format=json"],
        check=True, capture_output=True, text=True)
    result = json.loads(run.stdout)["benchmarks"][0]
    if result.get("error_occurred"):
        raise SystemExit(f"{program}: {name}: {result['error_message']}")
    field = "real_time" if "/real_time" in name else "cpu_time"
    scale = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[result["time_unit"]]
    return result[field] * scale


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", help="cbench of the revision compared with")
    parser.add_argument("now", help="cbench of the work tree")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1, help="time per benchmark, build and round")
    parser.add_argument("--json", help="also write the result there")
    options = parser.parse_args()

    in_base = set(names_of(options.base))
    both = [name for name in names_of(options.now) if name in in_base]
    times = {name: ([], []) for name in both}
    for round_number in range(options.rounds):
        # The one that goes first changes from round to round: neither always gets the warm or the throttled core.
        order = (0, 1) if round_number % 2 == 0 else (1, 0)
        for name in both:
            for which in order:
                times[name][which].append(time_of((options.base, options.now)[which], name, options.seconds))
        if sys.stderr.isatty():
            print(f"\rround {round_number + 1} of {options.rounds}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)

    result = []
    print(f"{'benchmark':44} {'base ns':>12} {'now ns':>12} {'now/base':>9}   spread")
    for name in both:
        base, now = times[name]
        ratios = sorted(n / b for b, n in zip(base, now))
        row = {"name": name, "base_ns": statistics.median(base), "now_ns": statistics.median(now),
               "ratio": statistics.median(ratios), "ratio_min": ratios[0], "ratio_max": ratios[-1]}
        result.append(row)
        print(f"{name:44} {row['base_ns']:12.1f} {row['now_ns']:12.1f} {row['ratio']:9.3f}   "
              f"{row['ratio_min']:.3f} - {row['ratio_max']:.3f}")
    only = [name for name in names_of(options.now) if name not in in_base]
    if only:
        print("new, without a base: " + ", ".join(only))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
