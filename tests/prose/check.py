#!/usr/bin/env python3
"""Checks the mechanical half of the language rules over the project's prose and test names.

    python3 tests/prose/check.py               every file that git tracks
    python3 tests/prose/check.py src/event     these files and folders
    python3 tests/prose/check.py --count       findings per room of the whole project

Prose is comments, doc comments, docstrings, Markdown, and the descriptions in YAML. Code spans, code blocks and URLs are no prose.
Prints `file:line: rule: excerpt (hint)` for each finding; the exit code is 1 if there is any. The rules:

- sentence: a sentence has at most 25 words; a code span or a URL counts as one.
- opening: no sentence begins with Of, What, Whoever, That of, Those, Where or Whether. Questions, headings and table cells may.
- word: the glossary's words only. This rule holds for texts in Rust and TypeScript, too: logs, errors, output.
- errors: an `# Errors` section does not begin with Where.
- test name: says who does what when; the rules for words and openings hold there, too.
"""
import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Made from the text of other files, which are checked themselves.
GENERATED = {"infra/cdk/API.md"}

MOST_WORDS = 25

#: (a word that the glossary replaces, its replacement). Words that also have an ordinary meaning are left out.
WORDS = [(re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in [
    (r"\bfates?\b", "outcome (of an event), message action (of a message)"),
    (r"\bverdicts?\b", "outcome, disposition"),
    (r"\bput(s|ting)?(\s+\w+){0,3}\s+aside\b", "dead-letter"),
    (r"\bhand(s|ed|ing)?(\s+\w+){0,2}\s+back\b", "return"),
    (r"\bguilt(y|s)?\b", "culprit"),
    (r"\bin\s+doubt\b", "maybe stored"),
    (r"\brefusals?\b", "rejection; only the receiver refuses"),
    (r"\brepl(y|ies|ied)\b", "answer"),
    (r"\b(receiver|workspace|server)('s|s')\s+words\b", "error text"),
    (r"\b(?<!dead )(?<!dead-)(?<!dead\n)letters?\b", "dead letter"),
    (r"\bmergers?\b|\bmerged\s+rows?\b", "sample table"),
    (r"\bEventNumbers?\b", "ItemId"),
    (r"\banswer_by\b", "deadline"),
]]
#: More of them outside of tests; in tests a fault is an injected failure.
WORDS_OF_PRODUCT = [(re.compile(r"\bfaults?\b", re.IGNORECASE), "error, rejection")]

#: Contexts in which a word of the lists above is right.
ALLOWED = re.compile(
    r"\b(capital|small|upper-?\s?case|lower-?\s?case|first|ascii|latin|greek)\s+letters?\b"
    r"|\bletters?(,|\s+(and|or))\s+(a\s+)?(digits?|numbers?|marks?|underscores?|colons?)\b"
    r"|\bdigits?\s+(and|or)\s+letters?\b|\bletter\s+by\s+letter\b",
    re.IGNORECASE)

OPENING = re.compile(r"(of|what|whoever|that\s+of|those|where|whether)\b", re.IGNORECASE)
NAME_OPENING = re.compile(r"(of|what|whoever|that_of|those|where)_")
HINTS = {"where": "if or when; where is for places", "whether": "for example: true if …"}


# --- sentences -------------------------------------------------------------------------------------------------------

@dataclass
class Unit:
    """A paragraph, list item, heading or table cell: `lines` are (line number, text)."""

    lines: list
    kind: str = "text"  # text, heading, cell, literal
    section: str = ""   # the heading that it stands under

    @property
    def text(self):
        return "\n".join(text for _, text in self.lines)

    def line_at(self, offset):
        return self.lines[self.text.count("\n", 0, offset)][0]


def masked(text):
    """Returns the text, as long as before, with each code span, URL and placeholder as one capitalised word and links as their text."""
    def word(match):
        return "C" + "c" * (len(match[0]) - 1)

    def link(match):
        return " " + match[1] + " " * (len(match[0]) - len(match[1]) - 1)

    text = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", word, text, flags=re.DOTALL)
    text = re.sub(r"\{\{.*?\}\}|\$\{.*?\}", word, text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)\s]*\)", link, text)
    text = re.sub(r"https?://[^\s)>\]]*[^\s)>\].,;:]", word, text)
    return re.sub(r"</?[a-z][^<>]*>", lambda match: " " * len(match[0]), text)


SENTENCE_END = re.compile(r"[.!?][\"')\]*_”’]*\s+(?=[\"'(\[*_“‘]*\w)")
ABBREVIATION = re.compile(r"\b(e\.g|i\.e|a\.m|p\.m|etc|vs|cf|approx|incl|resp|No|St)\.$")


def sentences(text):
    """Returns (offset, sentence) for each sentence of a masked text."""
    found, start = [], 0
    for end in SENTENCE_END.finditer(text):
        if not ABBREVIATION.search(text[start:end.start() + 1]):
            found.append((start, text[start:end.end()]))
            start = end.end()
    found.append((start, text[start:]))
    return [(at + len(one) - len(one.lstrip("\"'([*_“‘ \n")), one.strip("*_ \n")) for at, one in found if one.strip()]


def paragraphs(lines, markup=True, code_indent=4):
    """Cuts a block of lines, [(line number, text)], into units. `markup` is false for plain comments, which have no headings."""
    units, current, in_list, fence, section, header = [], None, False, None, "", None

    def add(number, text, kind="text"):
        units.append(Unit([(number, text)], kind, section))
        return units[-1]

    was_blank = was_code = True
    for number, raw in lines:
        text = raw.strip()
        indent = len(raw) - len(raw.lstrip())
        if fence or re.match(r"(```|~~~)", text):
            fence = None if fence and text.startswith(fence) else fence or text[:3]
            current = None
            continue
        if not text or text == "---" or re.match(r"\[[^\]]+\]:\s", text):
            current, header, was_blank = None, None, True
            continue
        item = re.match(r"([-*+•]|\d+[.)]|@\w+)\s+", text)
        ruler = re.fullmatch(r"[-=]{2,}\s*(.*?)\s*[-=]{2,}", text)
        if not in_list and indent >= code_indent and (was_blank or was_code or not markup):
            current, was_code = None, True
            continue
        was_blank = was_code = False
        if markup and (heading := re.match(r"#+\s+(.*)", text)):
            section, current, in_list = heading[1], None, False
            add(number, heading[1], "heading")
        elif ruler:
            current, in_list = None, False
            add(number, ruler[1], "heading")
        elif text.startswith("|"):
            current = None
            cells = cells_of(text)
            header = header or [cell.strip().lower() for cell in cells]
            for at, cell in enumerate(cells):
                # A glossary may have a column of words that are not to be used.
                if not (at < len(header) and header[at] == "not") and not re.fullmatch(r"[\s:-]*", cell):
                    add(number, cell.strip(), "cell")
        elif item:
            current, in_list = add(number, text[item.end():]), True
        elif current:
            current.lines.append((number, text.lstrip("> ")))
        else:
            in_list = in_list and indent > 0
            current = add(number, text.lstrip("> "))
    return units


def cells_of(row):
    """Returns the cells of a Markdown table's row; a bar in a code span does not end one."""
    bars = [at for at, sign in enumerate(masked(row)) if sign == "|" and row[at - 1:at] != "\\"]
    return [row[begin + 1:end] for begin, end in zip(bars, bars[1:] + [len(row)]) if row[begin + 1:end].strip()]


# --- what a file says ------------------------------------------------------------------------------------------------

#: Lines for tools, not for readers.
DIRECTIVE = re.compile(r"(noqa|type:|shellcheck|eslint|@ts-|pylint|prettier|SPDX|coding[:=]|language=)")


@dataclass
class Comment:
    line: int
    column: int
    marker: str
    text: str
    alone: bool  # nothing but white space before it

    @property
    def is_doc(self):
        return self.marker in ("///", "//!", "/*")


def comment_units(comments):
    """Joins the comments of consecutive lines, and returns their units."""
    blocks = []
    for one in comments:
        if DIRECTIVE.match(one.text.strip()):
            continue
        last = blocks[-1][-1] if blocks else None
        if last and one.alone and (one.line, one.column, one.marker) == (last.line + 1, last.column, last.marker):
            blocks[-1].append(one)
        else:
            blocks.append([one])
    units = []
    for block in blocks:
        lines = [(one.line, one.text[1:] if one.text.startswith(" ") else one.text) for one in block]
        units += paragraphs(lines, markup=True) if block[0].is_doc else paragraphs(lines, markup=False, code_indent=2)
    return units


RUST = re.compile(r'\bb?r(?P<hashes>#*)".*?"(?P=hashes)|"(?:\\.|[^"\\])*"|\'(?:\\[^\']+|[^\'\\\n])\'|(?P<comment>//[^\n]*|/\*.*?\*/)', re.DOTALL)
SCRIPT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`(?:\\.|[^`\\])*`|(?P<comment>//[^\n]*|/\*.*?\*/)'
                    r"|(?<=[(,=:\[!&|?{};])\s*/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/", re.DOTALL)


def slash_comments(source, grammar):
    comments = []
    for match in grammar.finditer(source):
        if not (text := match["comment"]):
            continue
        line = source.count("\n", 0, match.start()) + 1
        begin = source.rfind("\n", 0, match.start()) + 1
        column, alone = match.start() - begin, not source[begin:match.start()].strip()
        if text.startswith("//"):
            marker = re.match(r"//[/!]?", text)[0]
            comments.append(Comment(line, column, marker, text[len(marker):], alone))
        else:
            for number, one in enumerate(re.sub(r"^/\*+|\*+/$", "", text).split("\n")):
                comments.append(Comment(line + number, column, "/*", re.sub(r"^\s*\*(?=\s|$)", "", one), alone))
    return comments


def literals(source, grammar):
    """Returns a unit for each string literal of more than one word; placeholders in braces are no words."""
    found = [(match.start(), match[0]) for match in grammar.finditer(source) if not match["comment"] and " " in match[0]]
    lines = [(source.count("\n", 0, at) + 1, re.sub(r"\{[^{}]*\}", lambda hole: " " * len(hole[0]), text)) for at, text in found]
    return [Unit([(first + number, line) for number, line in enumerate(text.split("\n"))], "literal") for first, text in lines]


def hash_comments(source):
    comments = []
    for number, line in enumerate(source.split("\n"), 1):
        quote = None
        for column, sign in enumerate(line):
            if quote:
                quote = None if sign == quote else quote
            elif sign in "\"'" and (column == 0 or not line[column - 1].isalnum()):
                quote = sign
            elif sign == "#" and (column == 0 or line[column - 1].isspace()):
                if not line.startswith("#!"):
                    comments.append(Comment(number, column, "#", line[column + 1:], not line[:column].strip()))
                break
    return comments


DESCRIPTION = re.compile(r"(?P<indent>\s*)(?:- )?(?:Description|description|summary):\s+(?:!Sub\s+)?(?P<value>.*)")


def yaml_units(source):
    units, block, deeper = comment_units(hash_comments(source)), None, 0
    for number, line in enumerate(source.split("\n"), 1):
        if block is not None and (not line.strip() or len(line) - len(line.lstrip()) > deeper):
            block.append((number, line.strip()))
            continue
        block = None
        if found := DESCRIPTION.fullmatch(line):
            if re.fullmatch(r"[>|][-+]?", found["value"]):
                block, deeper = [], len(found["indent"])
                units.append(Unit(block))
            else:
                units.append(Unit([(number, found["value"].strip("\"'"))]))
    return [unit for unit in units if unit.lines]


def python_units(source):
    comments = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith("#!"):
            marker = re.match(r"#:?", token.string)[0]
            line, column = token.start
            comments.append(Comment(line, column, marker, token.string[len(marker):], not token.line[:column].strip()))
    units = comment_units(comments)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node):
            value = node.body[0].value
            lines = value.value.split("\n")
            margin = min([len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()], default=0)
            units += paragraphs([(value.lineno + at, line[margin:] if at else line) for at, line in enumerate(lines)])
    return units


def markdown_units(source):
    source = re.sub(r"<!--.*?-->", lambda match: "\n" * match[0].count("\n"), source, flags=re.DOTALL)
    return paragraphs(list(enumerate(source.split("\n"), 1)))


PYTHON_TEST = re.compile(r"^[ \t]*(?:async )?def test_(\w+)", re.MULTILINE)
RUST_TEST = re.compile(r"#\[(?:\w+::)?test\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)")


def read(path, source):
    """Returns the units of a file and its test names as (line, name); None if it is no file of prose."""
    names = []
    first = source.split("\n", 1)[0]
    if path.suffix == ".rs":
        units, names = comment_units(slash_comments(source, RUST)) + literals(source, RUST), RUST_TEST.finditer(source)
    elif path.suffix in (".ts", ".js", ".mjs", ".c"):
        units = comment_units(slash_comments(source, SCRIPT)) + literals(source, SCRIPT)
    elif path.suffix == ".py" or first.startswith("#!") and "python" in first:
        units, names = python_units(source), PYTHON_TEST.finditer(source)
    elif path.suffix == ".md":
        units = markdown_units(source)
    elif path.suffix in (".yaml", ".yml"):
        units = yaml_units(source)
    elif path.suffix in (".sh", ".toml") or path.name == "Makefile" or first.startswith("#!") and first.endswith("sh"):
        units = comment_units(hash_comments(source))
    else:
        return None
    return units, [(source.count("\n", 0, one.start(1)) + 1, one[1]) for one in names]


# --- rules -----------------------------------------------------------------------------------------------------------

def banned(text, in_tests):
    """Yields (offset, word, what to write instead) for each word that is not of the glossary."""
    allowed = [match.span() for match in ALLOWED.finditer(text)]
    for pattern, instead in WORDS + ([] if in_tests else WORDS_OF_PRODUCT):
        for match in pattern.finditer(text):
            if not any(begin <= match.start() and match.end() <= end for begin, end in allowed):
                yield match.start(), " ".join(match[0].split()), instead


def check_unit(unit, in_tests):
    """Yields (line, rule, excerpt, hint) for a unit."""
    text = masked(unit.text)
    for offset, word, instead in banned(text, in_tests):
        yield unit.line_at(offset), "word", word, instead
    if unit.kind in ("heading", "literal"):
        return
    for offset, sentence in sentences(text):
        original = " ".join(unit.text[offset:offset + len(sentence)].split())
        excerpt = original if len(original) <= 60 else original[:59] + "…"
        count = sum(1 for word in sentence.split() if re.search(r"\w", word))
        if count > MOST_WORDS:
            yield unit.line_at(offset), "sentence", excerpt, f"{count} words, at most {MOST_WORDS}"
        opening = OPENING.match(text[offset:])
        if opening and unit.kind == "text" and not sentence.rstrip("\"')*_ ").endswith("?"):
            first = opening[0].lower()
            if first == "where" and unit.section == "Errors":
                yield unit.line_at(offset), "errors", excerpt, "Returns an error if …"
            else:
                yield unit.line_at(offset), "opening", excerpt, HINTS.get(first, "begin with who does what")


def check_name(line, name, in_tests):
    plain = re.sub(r"^(property_)?(test_)?", "", name)
    if opening := NAME_OPENING.match(plain):
        yield line, "test name", name, f"begins with {opening[1]}; say who does what when"
    for _, word, instead in banned(plain.replace("_", " "), in_tests):
        yield line, "test name", name, f"{word}: {instead}"


def check_source(path, source):
    """Returns the findings of a file, [(line, rule, excerpt, hint)]; None if it is no file of prose."""
    path = Path(path)
    if (parts := read(path, source)) is None:
        return None
    units, names = parts
    # A file of Rust's unit tests, and all under a folder of tests.
    in_tests = bool({"tests", "test"} & set(path.parts)) or path.name == "tests.rs"
    found = [finding for unit in units for finding in check_unit(unit, in_tests)]
    return sorted(found + [finding for line, name in names for finding in check_name(line, name, in_tests=True)])


# --- the command -----------------------------------------------------------------------------------------------------

def tracked(*paths):
    """Returns the files that git tracks or would track, under these paths."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *map(str, paths)]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    return sorted({Path(name) for name in listed.decode().split("\0") if name and (ROOT / name).is_file()})


def room(path):
    """Returns the folder that a path is counted under: src/event.rs and src/event/ are one."""
    return "/".join(part.removesuffix(".rs") for part in path.parts[:2])


def main(arguments=None):
    options = argparse.ArgumentParser(description="Checks the language rules; see the head of this file.")
    options.add_argument("paths", nargs="*", type=Path, help="files and folders; everything that git tracks if there is none")
    options.add_argument("--count", action="store_true", help="print findings per room")
    given = options.parse_args(arguments)
    files = [path for path in tracked(*(path.resolve() for path in given.paths)) if path.as_posix() not in GENERATED]
    if given.paths and not files:
        options.error("there is no such file")
    read_files, rooms, rules = 0, Counter(), Counter()
    for path in files:
        try:
            findings = check_source(path, (ROOT / path).read_text(encoding="utf-8", errors="replace"))
        except (SyntaxError, tokenize.TokenError) as error:
            findings = [(1, "unreadable", str(error), "is it what its name says?")]
        if findings is None:
            continue
        read_files += 1
        for line, rule, excerpt, hint in findings:
            rooms[room(path)] += 1
            rules[rule] += 1
            if not given.count:
                print(f"{path}:{line}: {rule}: {excerpt} ({hint})")
    if given.count:
        for name, count in sorted(rooms.items()):
            print(f"{count:6} {name}")
    total = sum(rooms.values())
    by_rule = ", ".join(f"{count} {rule}" for rule, count in rules.most_common())
    print(f"{total or 'no'} findings in {read_files} files" + (f": {by_rule}" if total else ""))
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
