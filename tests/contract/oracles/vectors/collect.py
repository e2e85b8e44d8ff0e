"""Prints bodies for tests/exposition, one JSON line each.

    collect.py literals FILE...   each string literal of Python files, as base64
    collect.py openmetrics DIR    each test vector of OpenMetrics: {"name", "should_parse", "bytes"}
"""
import ast
import base64
import json
import pathlib
import sys


def encoded(content):
    return base64.b64encode(content).decode()


def literals(path):
    for node in ast.walk(ast.parse(pathlib.Path(path).read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
            yield node.value.encode() if isinstance(node.value, str) else node.value


kind, *paths = sys.argv[1:]
if kind == "literals":
    for content in (content for path in paths for content in literals(path)):
        print(json.dumps(encoded(content)))
else:
    for test in sorted(pathlib.Path(paths[0]).glob("*/test.json")):
        facts = json.loads(test.read_text())
        content = (test.parent / facts["file"]).read_bytes()
        print(json.dumps({"name": test.parent.name, "should_parse": facts["shouldParse"], "bytes": encoded(content)}))
