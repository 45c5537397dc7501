#!/usr/bin/env python3
"""Runs the commands of a page and compares what they print.

usage: pages.py RELAY PROGRAM PAGE...

A fenced block is run if its info string is `sh` (each must exit with 0) or `console` (lines after `$ ` are
run, the others are what they print). `sh excerpt` and `console excerpt` are not run. All other blocks have an
info string of their own, or the page is refused.

The blocks of one page share a shell's variables and functions and a directory, which has `big.bin`,
`note.txt` and `site/`. A line that ends in `# one terminal` runs beside the rest of its block. A
`console waits` block, such as a sender without a receiver, runs beside the blocks that follow; all have to
end with the page.
Identifiers, dates, sizes, rates and times may differ; the same identifier on a page is always the same one.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

TIMEOUT_S = 60
OTHERS = {"text", "json", "toml", "yaml", "http", "ini", "rust"}
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Variable parts as they are on a page, and as patterns.
SIZE = r"\d+(?:\.\d+)? (?:bytes|[KMGT]iB)"
VARIABLE = [
    # An instantaneous transfer has no rate.
    (rf"{SIZE} in [\d.]+ (?:ms|s), {SIZE}/s", rf"{SIZE}(?: in [\d.]+ (?:ms|s), {SIZE}/s)?"),
    (r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", r"\d{4}-\d\d-\d\dT[\d:.]+Z"),
    (SIZE, SIZE),
    (r"\d{4,}", r"\d+"),
    ("…", r".*"),
]


def blocks(page):
    """The info string, the first line's number and the lines of each fenced block."""
    found, block = [], None
    for number, line in enumerate(open(page, encoding="utf-8"), 1):
        line = line.rstrip("\n")
        if block is None and line.lstrip().startswith("```"):
            indent = len(line) - len(line.lstrip())
            block = (line.strip().strip("`"), number, [], indent)
        elif block is not None and line.strip() == "```":
            found.append(block[:3])
            block = None
        elif block is not None:
            block[2].append(line[block[3] :])
    return found


def pattern(text, known):
    """Expected output as a regular expression, and the identifiers of its groups."""
    regex, groups = "", []
    variable = re.compile("|".join([f"({UUID})"] + [f"({of})" for of, _ in VARIABLE]))
    at = 0
    for match in variable.finditer(text):
        regex += re.escape(text[at : match.start()])
        at = match.end()
        if match.group(1) and match.group(1) in known:
            regex += re.escape(known[match.group(1)])
        elif match.group(1):
            regex += f"({UUID})"
            groups.append(match.group(1))
        else:
            regex += VARIABLE[match.lastindex - 2][1]
    return re.compile(regex + re.escape(text[at:])), groups


class Page:
    def __init__(self, name, relay, program):
        self.name, self.relay = name, relay
        self.known, self.running = {}, []
        self.directory = tempfile.TemporaryDirectory()
        path = self.directory.name
        with open(f"{path}/big.bin", "wb") as big:
            big.write(os.urandom(3_000_000))
        os.makedirs(f"{path}/site")
        os.makedirs(f"{path}/copy")
        for name, text in [("note.txt", "a note\n"), ("site/index.html", "hello\n"), ("site/a.txt", "a\n")]:
            with open(f"{path}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        self.environment = dict(os.environ, RDV_RELAY=f"http://{relay}", LC_ALL="C.UTF-8", no_proxy="*")
        self.environment["PATH"] = f"{os.path.dirname(program)}:{os.environ['PATH']}"
        # Without a terminal curl would print its progress in the output.
        self.environment["CURL_HOME"] = path
        with open(f"{path}/.curlrc", "w", encoding="utf-8") as file:
            file.write("silent\nshow-error\n")
        open(f"{path}/.state", "w", encoding="utf-8").close()

    def live(self, text):
        """The same with the relay and the identifiers of this run."""
        text = text.replace("127.0.0.1:8080", self.relay)
        for shown, real in self.known.items():
            text = text.replace(shown, real)
        return text

    def start(self, script):
        # Variables and functions are kept from block to block.
        script = f". ./.state\n{script}\nstatus=$?\ndeclare -f > .next; declare -p >> .next 2>/dev/null\n"
        script += "grep -vE '^declare -[a-zA-Z]*r' .next > .state\nexit $status\n"
        output = tempfile.TemporaryFile()
        process = subprocess.Popen(
            ["bash", "-c", script], cwd=self.directory.name, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )
        return process, output

    def printed(self, output):
        output.seek(0)
        return output.read().decode().replace("\r\n", "\n").replace(self.relay, "127.0.0.1:8080")

    def run(self, number, lines, is_console, waits):
        commands, expected = [], []
        for line in lines:
            if not is_console:
                commands.append(line)
            elif line.startswith("$ "):
                beside = line.rstrip().endswith("# one terminal")
                commands.append(f"{{ {line[2:]}\n}} > /dev/null &" if beside else line[2:])
            else:
                expected.append(line)
        ends = "" if is_console else "set -e\n"
        process, output = self.start(self.live(ends + "\n".join(commands)))
        wanted, groups = pattern("\n".join(expected).strip(), self.known)
        where, until = f"{self.name}:{number}", time.monotonic() + TIMEOUT_S
        while True:
            ended = process.poll()
            printed = self.printed(output).strip()
            match = wanted.fullmatch(printed)
            if is_console and match and (waits or ended is not None):
                self.known.update(zip(groups, match.groups()))
                break
            if ended is not None or time.monotonic() > until:
                if not is_console and ended == 0:
                    break
                sys.exit(f"{where}: exit status {ended}; printed:\n{printed}\nwanted:\n{wanted.pattern}")
            time.sleep(0.01)
        self.running.append((where, process))

    def finish(self):
        for where, process in self.running:
            try:
                process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                sys.exit(f"{where}: does not end")


def main():
    relay, program, *pages = sys.argv[1:]
    count = 0
    for name in pages:
        page = Page(name, relay, program)
        for info, number, lines in blocks(name):
            kind, _, rest = info.partition(" ")
            if kind in OTHERS or (kind in ("sh", "console") and rest == "excerpt"):
                continue
            if kind not in ("sh", "console") or rest not in ("", "waits"):
                sys.exit(f"{name}:{number}: '{info}' is neither run nor marked as an excerpt")
            page.run(number, lines, kind == "console", rest == "waits")
            count += 1
        page.finish()
    print(f"{count} blocks")


main()
