"""Thousands of subscribers that compare every byte: those of the demo, whose exit status is 0 only if nothing is missing."""
import re
import subprocess

from harness import PATIENCE_S, SCALE, program_command, scaled


def run_demo(*flags, seconds):
    ended = subprocess.run([*program_command("demo"), f"--seconds={seconds}", *flags], capture_output=True, text=True, check=False,
                           stdin=subprocess.DEVNULL, timeout=seconds + 8 * PATIENCE_S)
    output = ended.stdout + ended.stderr
    assert ended.returncode == 0, output
    return output


def test_every_message_at_5000_subscribers_for_a_minute():
    subscribers, seconds = scaled(5000), max(5, int(60 * SCALE))
    output = run_demo(f"--subscribers={subscribers}", "--interval=400ms", seconds=seconds)
    count = re.search(r"([\d,]+) flashblocks to ([\d,]+) subscribers: ([\d,]+) deliveries", output)
    published, reached, deliveries = (int(number.replace(",", "")) for number in count.groups())
    assert reached == subscribers
    assert published >= seconds
    assert deliveries == published * subscribers


def test_every_message_while_others_come_and_go():
    churning = scaled(2000)
    output = run_demo(f"--subscribers={scaled(500)}", f"--churn={churning}", "--size=4k", seconds=max(5, int(15 * SCALE)))
    joined = re.search(r"others joined ([\d,]+) times", output)
    assert int(joined[1].replace(",", "")) > churning
