"""The README shows the relay's own help, word for word."""
import subprocess
from pathlib import Path

from harness import BIN

README = Path(__file__).resolve().parents[2] / "README.md"


def test_readme_shows_every_flag():
    text = subprocess.run([BIN / "flashrelay", "--help"], capture_output=True, text=True, check=True).stdout
    assert f"```\n{text}```\n" in README.read_text()
