"""The language check finds what it must find, and nothing else: python3 tests/prose/test_check.py."""
import contextlib
import io
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
import check  # noqa: E402

FITS = "The gateway sends " + "each of the " * 7 + "samples."
LONG = "The gateway sends " + "each of the " * 7 + "new samples."


def findings(name, source):
    return [(line, rule) for line, rule, _, _ in check.check_source(name, source)]


def rules(name, source):
    return [rule for _, rule in findings(name, source)]


class Sentences(unittest.TestCase):
    def test_reports_a_sentence_of_more_than_25_words(self):
        self.assertEqual(len(FITS.split()), 25)
        self.assertEqual(rules("a.md", FITS), [])
        self.assertEqual(rules("a.md", LONG), ["sentence"])

    def test_counts_a_code_span_and_a_url_as_one_word(self):
        filler = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        for one in ["`a b c d e f g h i j k l`", "https://example.com/a.b?c=d", "[a link](https://example.com/a/b/c)"]:
            self.assertEqual(rules("a.md", f"The {filler} {one} and {one} end here."), [], one)

    def test_splits_at_the_end_of_a_sentence_only(self):
        for text, count in [
            ("One ends here. Two ends there.", 2),
            ("It waits, e.g. Tuesday, from 3 a.m. for 1.5 s. It ends.", 2),
            ("See `a.b. C` and main.rs. Then stop.", 2),
            ("See https://example.com/a.b. Then stop.", 2),
            ("Is it so? \"Yes.\" It is!", 3),
            ("Version 1.5 of file.rs works, i.e. Rust builds it.", 1),
            ("It is **bold.** Then it is not.", 2),
            ("It ends. `code` begins the next. moto begins one, too.", 3),
        ]:
            self.assertEqual(len(check.sentences(check.masked(text))), count, text)

    def test_reads_list_items_cells_and_headings_one_by_one(self):
        half = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
        self.assertEqual(rules("a.md", f"- {half}\n- {half}\n"), [])
        self.assertEqual(rules("a.md", f"| {half} | {half} |\n|---|---|\n| {half} | {half} |\n"), [])
        self.assertEqual(rules("a.md", f"# {half}\n{half}\n\n{half}\n"), [])
        self.assertEqual(rules("a.md", f"- {half}\n  {half}\n"), ["sentence"])
        self.assertEqual(rules("a.md", f"# {half} {half}\n"), [])

    def test_leaves_code_blocks_out(self):
        self.assertEqual(rules("a.md", f"```\n{LONG}\n```\n\n    {LONG}\n"), [])
        self.assertEqual(rules("a.sh", f"# Runs this:\n#\n#   {LONG}\n"), [])
        self.assertEqual(rules("a.rs", f"/// Does it.\n/// ```\n/// {LONG}\n/// ```\nfn a() {{}}\n"), [])


class Openings(unittest.TestCase):
    def test_reports_each_opening_that_is_not_to_be_used(self):
        for opening in ["Of the events,", "What is sent", "Whoever sends", "That of Cargo", "Those of it", "Where it fails", "Whether it"]:
            self.assertEqual(rules("a.rs", f"/// It runs. {opening} is here.\nfn a() {{}}\n"), ["opening"], opening)
            self.assertEqual(rules("a.py", f"# {opening.lower()} is here\n"), ["opening"], opening)

    def test_leaves_the_same_words_elsewhere_alone(self):
        for text in ["It says what is sent, and of whom.", "That is all.", "Offers it.", "## What it costs", "What does it cost?",
                     "| What | Where |\n|---|---|\n| a | What it is |"]:
            self.assertEqual(rules("a.md", text), [], text)

    def test_reports_an_errors_section_that_begins_with_where(self):
        source = "/// Sends it.\n///\n/// # Errors\n///\n/// {} it fails.\nfn a() {{}}\n"
        self.assertEqual(findings("a.rs", source.format("Where")), [(5, "errors")])
        self.assertEqual(rules("a.rs", source.format("Returns an error if")), [])


class Words(unittest.TestCase):
    def test_reports_each_word_that_the_glossary_replaces(self):
        for word in ["fate", "verdicts", "put aside", "puts the whole message aside", "hand it back", "handed back", "guilty", "in doubt",
                     "refusal", "a reply", "the receiver's words", "a letter", "the merger", "EventNumber", "answer_by"]:
            self.assertEqual(rules("a.md", f"This is {word} here."), ["word"], word)

    def test_leaves_allowed_contexts_and_code_spans_alone(self):
        for text in ["The metric `handed_back` counts.", "A dead letter lies on the dead-letter queue.", "Only capital letters.",
                     "It may hold letters, digits and underscores.", "The receiver refuses it.", "The connection was refused.",
                     "```\nput aside\n```", "| word | not |\n|---|---|\n| outcome | fate, verdict |"]:
            self.assertEqual(rules("a.md", text), [], text)

    def test_reports_words_in_texts_of_rust_and_typescript(self):
        for source in ['let a = "a message put aside";', 'let a = r#"its fate"#;', 'let a = "its\n fate";']:
            self.assertEqual(rules("a.rs", source), ["word"], source)
        self.assertEqual(rules("a.ts", "a = 'its fate';"), ["word"])
        for source in ['let a = "fate";', 'let a = "has {fate} and {handed_back:?}";', 'let a = "what is handled";', 'let a = fate(1);']:
            self.assertEqual(rules("a.rs", source), [], source)

    def test_lets_only_tests_speak_of_faults(self):
        self.assertEqual(rules("src/a.rs", "// A fault is an error.\n"), ["word"])
        self.assertEqual(rules("tests/a.rs", "// A fault is injected.\n"), [])
        self.assertEqual(rules("src/a/tests.rs", "// A fault is injected.\n"), [])

    def test_reports_the_line_of_a_word_and_of_a_sentence(self):
        self.assertEqual(findings("a.md", f"It runs.\nIt has a\nfate. It ends.\n{LONG}\n"), [(3, "word"), (4, "sentence")])


class Names(unittest.TestCase):
    def test_reports_openings_and_words_in_the_names_of_tests(self):
        for name in ["what_is_sent", "of_two_events_one_is_sent", "whoever_sends", "those_are_sent", "that_of_a_group", "where_it_fails",
                     "the_guilty_event_is_found", "a_message_is_handed_back", "events_are_put_aside"]:
            self.assertEqual(rules("a.py", f"def test_{name}():\n    pass\n"), ["test name"], name)
            self.assertEqual(rules("a.rs", f"#[test]\nfn {name}() {{}}\n"), ["test name"], name)
            self.assertEqual(rules("a.rs", f"#[tokio::test(start_paused = true)]\n#[ignore]\nasync fn {name}() {{}}\n"), ["test name"], name)

    def test_leaves_other_names_alone(self):
        self.assertEqual(rules("a.py", "def what_is_sent():\n    pass\n"), [])
        self.assertEqual(rules("a.rs", "fn what_is_sent() {}\n#[test]\nfn rejects_what_is_no_number() {}\n"), [])


class Sources(unittest.TestCase):
    def assert_found(self, name, prose, other, rule="word"):
        """`prose` has one finding; `other` has the same text where it is no prose."""
        self.assertEqual(rules(name, prose), [rule], prose)
        self.assertEqual(rules(name, other), [], other)

    def test_reads_comments_and_docs_of_rust(self):
        for comment in ["/// those are", "//! those are", "// those are", "let a = '\"'; // those are", "/* those\n * are */"]:
            self.assert_found("a.rs", comment, f"let a = r#\"{comment}\"#; let b: &'a str = \"// those are\";", "opening")

    def test_reads_comments_and_docstrings_of_python(self):
        for comment in ["# a fate", "#: a fate", "a = '#'  # a fate"]:
            self.assert_found("a.py", comment, f"a = \"{comment}\"")
        for docstring in ['"""A fate."""', 'def a():\n    """A\n    fate."""', 'class A:\n    "A fate."']:
            self.assert_found("a.py", docstring, f"x = 1\n'''{docstring}'''")

    def test_reads_comments_of_scripts_and_settings(self):
        for name in ["a.sh", "a.toml", "a.yaml", "Makefile"]:
            self.assert_found(name, "a: b # a fate", "a: 'b # a fate' a#fate")
        self.assert_found("run", "#!/usr/bin/env bash\n# a fate\n", "#!/usr/bin/env bash\nfate\n")

    def test_reads_comments_of_typescript(self):
        for comment in ["// those are", "/** those are */", "a = /\"/; // those are", "a = `x`; /* those are */"]:
            self.assert_found("a.ts", comment, f"a = '{comment}';", "opening")

    def test_reads_descriptions_of_yaml(self):
        for text in ["Description: a fate", "  - description: 'a fate'", "summary: >-\n  a\n  fate\nother: fate"]:
            self.assert_found("a.yaml", text, text.replace("escription", "escribed").replace("summary", "sum"))

    def test_joins_the_lines_of_one_comment_only(self):
        half = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
        self.assertEqual(rules("a.rs", f"// {half}\n// {half}\n"), ["sentence"])
        self.assertEqual(rules("a.rs", f"// {half}\n\n// {half}\n"), [])
        self.assertEqual(rules("a.rs", f"a; // {half}\nb; // {half}\n"), [])

    def test_says_nothing_of_files_without_prose(self):
        self.assertIsNone(check.check_source("a.json", "a fate"))


class Command(unittest.TestCase):
    def run_it(self, *arguments, source="# a fate\n"):
        with mock.patch.object(check, "tracked", lambda *paths: [Path("tests/prose/check.py")]), \
                mock.patch.object(Path, "read_text", lambda *_, **__: source), \
                contextlib.redirect_stdout(io.StringIO()) as printed:
            return check.main(arguments), printed.getvalue()

    def test_exits_with_1_if_there_is_a_finding(self):
        self.assertEqual(self.run_it(), (1, "tests/prose/check.py:1: word: fate (outcome (of an event), message action (of a message))\n"
                                            "1 findings in 1 files: 1 word\n"))
        self.assertEqual(self.run_it(source="# an outcome\n"), (0, "no findings in 1 files\n"))

    def test_counts_findings_per_room(self):
        self.assertEqual(self.run_it("--count"), (1, "     1 tests/prose\n1 findings in 1 files: 1 word\n"))

    def test_finds_the_files_of_the_project(self):
        self.assertIn(Path("Cargo.toml"), check.tracked())


if __name__ == "__main__":
    unittest.main()
