"""A runtime of Lambda for Python, as small as it can be: `python bootstrap.py FILE` runs the `handler` of a file."""
import importlib.util
import json
import os
import sys
import urllib.request

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"


def main(path):
    spec = importlib.util.spec_from_file_location("function", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    while True:
        with urllib.request.urlopen(f"{API}/next") as answer:
            request_id, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
        try:
            kind, body = "response", module.handler(event, None)
        except Exception as error:  # noqa: BLE001 - a runtime reports every error
            kind, body = "error", {"errorType": type(error).__name__, "errorMessage": str(error)}
        urllib.request.urlopen(f"{API}/{request_id}/{kind}", json.dumps(body).encode()).close()


main(sys.argv[1])
