"""Every `tenantry` command in the chart's notes and in these pages exists, with its flags. Asks a binary for its --help."""

import functools
import re
import subprocess
from pathlib import Path

from rendering import ROOT

PAGES = ["docs/kubernetes.md", "docs/production.md", *(f"docs/runbooks/{page.name}" for page in (ROOT / "docs/runbooks").glob("*.md"))]


@functools.cache
def help_of(binary: Path, path: tuple[str, ...]) -> str:
    asked = subprocess.run([binary, *path, "--help"], capture_output=True, text=True, timeout=20)
    return asked.stdout if asked.returncode == 0 else ""


def commands(text: str) -> list[str]:
    """In code: from `tenantry` on, in a line of a block, between backticks, or in an indented line of the notes."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line for block in re.findall(r"```[a-z]*\n(.*?)```", joined, re.S) for line in block.splitlines()]
    lines += re.findall(r"`(tenantry [^`\n]+)`", re.sub(r"(?<=\S)\n  (?=\S)", " ", joined))
    lines += [line for line in joined.splitlines() if line.startswith("  ")]
    # Not what helm and kubectl are told of a release or a namespace of that name.
    return [m[1] for line in lines if (m := re.search(r"(?:^ *|\| *|\$\()(tenantry (?:[a-z]|-).*)", line))]


def wrong(binary: Path, command: str) -> str | None:
    """What is wrong with a command; none: nothing."""
    command = re.split(r"\s[|>#&]|\s2>|\)$|, ", command)[0].rstrip(",.")
    words = re.sub(r"[<>'\"]", "", command).split()[1:]
    path: tuple[str, ...] = ()
    while words and re.fullmatch(r"[a-z][-a-z]*", words[0]) and "Commands:" in help_of(binary, path):
        if not help_of(binary, (*path, words[0])):
            return f"{command}: there is no such command"
        path, words = (*path, words[0]), words[1:]
    text = help_of(binary, path)
    if "Commands:" in text and not any(word.startswith("-") for word in words):
        return f"{command}: says not what to do"
    for word in words:
        flag = word.split("=")[0]
        if re.match(r"--?[a-z]", flag) and not re.search(rf"(^|[ ,]){re.escape(flag)}\b", text, re.M):
            return f"{command}: there is no {flag}"
    return None


def unknown(binary: Path, notes: list[str]) -> list[str]:
    texts = {page: (ROOT / page).read_text() for page in PAGES} | {f"notes {n}": text for n, text in enumerate(notes)}
    found = {(page, command) for page, text in texts.items() for command in commands(text)}
    if len(found) < 20:
        return [f"only {len(found)} commands were found"]
    return sorted(f"{page}: {problem}" for page, command in found if (problem := wrong(binary, command)))
