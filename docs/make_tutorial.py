"""Run docs/from-convolution-to-xception.md: every block of Python in order, in one namespace, from the folder docs.

    python docs/make_tutorial.py            # run it; write what it prints and draws into the page and docs/pictures
    python docs/make_tutorial.py --check    # run it; say where what is written differs, and exit with 1

What a block prints stands in the block of text that follows it. A block without one prints nothing.
"""

import argparse
import contextlib
import io
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "from-convolution-to-xception.md"
_BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """Code at `line` of the page, and the output that is written below it."""

    code: str
    output: str
    line: int


def blocks_of(text: str) -> list[Block]:
    """The blocks of Python of a page, in order."""
    return [
        Block(found["code"], found["output"] or "", text.count("\n", 0, found.start("code")) + 1)
        for found in _BLOCK.finditer(text)
    ]


def run(text: str, name: str) -> list[str]:
    """What each block of a page prints; `name` is the page's in tracebacks, whose lines are the page's too."""
    namespace: dict[str, object] = {"__name__": "__tutorial__"}
    printed = []
    for block in blocks_of(text):
        code = compile("\n" * (block.line - 1) + block.code, name, "exec")
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(code, namespace)  # the page's own code, which a reader runs too
        printed.append(said.getvalue())
    return printed


def filled(text: str, printed: list[str]) -> str:
    """The page with `printed` below its blocks."""
    outputs = iter(printed)

    def one(found: re.Match[str]) -> str:
        said = next(outputs)
        return f"```python\n{found['code']}```\n" + (f"\n```text\n{said}```\n" if said else "")

    return _BLOCK.sub(one, text)


def main() -> None:
    """Run, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing but the pictures")
    check = parser.parse_args().check
    os.chdir(DOCS)
    sys.path.insert(0, str(DOCS))
    text = PAGE.read_text(encoding="utf-8")
    printed = run(text, PAGE.name)
    if not check:
        PAGE.write_text(filled(text, printed), encoding="utf-8")
    stale = [block for block, said in zip(blocks_of(text), printed, strict=True) if block.output != said]
    for block in stale:
        print(f"{PAGE.name}:{block.line}: another output than written{'' if check else ', now mended'}")
    print(f"{len(printed)} blocks run")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
