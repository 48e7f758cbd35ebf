"""The release programs are hardened: the compiler's and the linker's flags for it have effects that are visible in the files."""
import platform
import re
import subprocess

import pytest

from harness import BIN, ROOT

PROGRAMS = ("flashrelay", "flashbuilder", "flashcat", "flashbench", "bare_loop", "demo")
IS_X86, IS_ARM64 = platform.machine() == "x86_64", platform.machine() == "aarch64"

pytestmark = pytest.mark.skipif(BIN != ROOT / "build", reason="only the release build is hardened")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, errors="replace").stdout


def readelf(program, *options):
    return output("readelf", "--wide", *options, BIN / program)


def code_of(program, function):
    return output("objdump", f"--disassemble={function}", "--no-show-raw-insn", BIN / program)


def marks(file):
    """For each x86-64 object in a file (an archive has several): the checks of control flow, IBT and SHSTK, that it is marked for."""
    objects = re.split(r"^File: ", output("readelf", "--notes", file), flags=re.MULTILINE)
    return [set(re.findall(r"IBT|SHSTK", notes)) for notes in objects[1:] or objects]


@pytest.fixture(params=PROGRAMS)
def program(request):
    return request.param


def test_addresses_are_random(program):
    assert re.search(r"Type: +DYN", readelf(program, "--file-header"))
    assert re.search(r"\(FLAGS_1\).*\bPIE\b", readelf(program, "--dynamic"))


def test_relocations_are_read_only_from_the_start(program):
    assert "GNU_RELRO" in readelf(program, "--program-headers")
    assert re.search(r"\(FLAGS\).*\bBIND_NOW\b", readelf(program, "--dynamic"))


def test_stack_is_not_executable(program):
    stack = re.search(r"GNU_STACK +(?:0x\w+ +){5}([RWE ]+?) +0x", readelf(program, "--program-headers"))
    assert stack and stack[1] == "RW"


def test_overflows_are_noticed(program):
    imported = re.findall(r"UND (\w+)", readelf(program, "--dyn-syms"))
    assert "__stack_chk_fail" in imported
    assert [name for name in imported if re.fullmatch(r"__\w+_chk", name)]


def test_large_frames_are_probed(program):
    compiled_with = re.findall(r"GNU C17 .*", readelf(program, "--string-dump=.debug_str", "--string-dump=.debug_line_str"))
    assert compiled_with and all("-fstack-clash-protection" in flags for flags in compiled_with if "-O2" in flags)


@pytest.mark.skipif(not IS_X86, reason="x86-64 only")
def test_calls_and_returns_are_marked_on_x86_64(program):
    assert re.search(r"<main>:\n[^\n]*\bendbr64\b", code_of(program, "main"))
    # The linker marks a program only if all its parts are marked, and not every distribution's C library is.
    parts = [output("gcc", f"-print-file-name={part}").strip() for part in ("Scrt1.o", "crti.o", "crtbeginS.o", "crtendS.o", "crtn.o")]
    ours = [*marks(BIN / "obj/release/libdataplane.a"), *marks(BIN / "obj/release/libcommon.a")]
    assert len(ours) > 50 and all(each == {"IBT", "SHSTK"} for each in ours)
    assert marks(BIN / program) == [set.intersection(*ours, *(mark for part in parts for mark in marks(part)))]


@pytest.mark.skipif(not IS_ARM64, reason="arm64 only")
def test_calls_and_returns_are_marked_on_arm64(program):
    assert re.search(r"<main>:\n[^\n]*\b(paciasp|bti)\b", code_of(program, "main"))
