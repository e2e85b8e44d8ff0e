"""Returns the templates under test: that of SAM after its transform, and those of the CDK construct for each variant."""
import fcntl
import functools
import json
import os
import re
import shutil
import subprocess

import cloudformation
from support.components import ENV, HOW, ROOT, MissingComponent, _found

SAM_TEMPLATE = ROOT / "infra/sam/template.yaml"
EXTENSION_TEMPLATE = ROOT / "infra/sam/extension.yaml"
CDK = ROOT / "infra/cdk"
#: Attributes of what the stack makes.
KNOWN = {"Workspace.WorkspaceId": "ws-made",
         "Workspace.PrometheusEndpoint": "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-made/",
         "HttpSecret": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:HttpSecret-AbCdEf",
         "HttpFunctionUrl.FunctionUrl": "https://abc123.lambda-url.eu-west-1.on.aws/",
         "HttpApi.ApiEndpoint": "https://abc123.execute-api.eu-west-1.amazonaws.com"}


def infra_tool(name):
    """Returns the path of a command in tests/.env/infra, such as `sam`."""
    return _found(ENV / "infra/bin" / name, f"the command `{name}`", HOW)


def environment():
    """Returns variables for commands that must work without credentials and without an account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "AWS_DEFAULT_REGION": "eu-west-1", "SAM_CLI_TELEMETRY": "0", "PATH": f"{ENV}/infra/bin:{os.environ['PATH']}"}


@functools.cache
def _transformer():
    """Starts the process that transforms templates. It ends with its input."""
    return subprocess.Popen([infra_tool("python"), ROOT / "tests/infra/transform.py"], env=environment(), text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@functools.cache
def _sam_template(file, parameters):
    transformer = _transformer()
    transformer.stdin.write(json.dumps([str(file), dict(parameters)]) + "\n")
    transformer.stdin.flush()
    template = json.loads(transformer.stdout.readline())
    assert isinstance(template, dict), template
    return template


def sam_template(parameters=None, file=SAM_TEMPLATE):
    """Returns SAM's template, or that of another file, after the transform with these parameters."""
    return _sam_template(file, tuple(sorted((parameters or {}).items())))


def sam(parameters=None):
    """Returns the resources that SAM's template makes with these parameters."""
    return cloudformation.resolve(sam_template(parameters), parameters, KNOWN)


def sam_outputs(parameters=None):
    """Returns the outputs of SAM's template with these parameters."""
    return cloudformation.outputs(sam_template(parameters), parameters, KNOWN)


def cdk_templates():
    """Returns the templates of the variants in infra/cdk/example/variants.ts by name. Synthesises them again if a source is newer."""
    if not (CDK / "node_modules").is_dir() or shutil.which("npm") is None:
        raise MissingComponent(f"Node.js or the packages of infra/cdk are missing: {HOW}")
    return _cdk_templates()


@functools.cache
def _cdk_templates():
    output = CDK / "cdk.out"
    output.mkdir(exist_ok=True)
    with open(output / "lock", "w") as lock:  # tests run in parallel
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = list(output.glob("*.template.json"))
        sources = [CDK / "package.json", *CDK.glob("src/*.ts"), CDK / "example/variants.ts"]
        if not made or max(map(_changed, sources)) > min(map(_changed, made)):
            for old in made:
                old.unlink()
            ended = subprocess.run(["npm", "run", "synth"], cwd=CDK, env=environment(), stdin=subprocess.DEVNULL,
                                   capture_output=True, text=True)
            assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    return {file.name.split(".")[0]: json.loads(file.read_text()) for file in output.glob("*.template.json")}


def _changed(path):
    return path.stat().st_mtime


def cdk(variant):
    """Returns the resources that the construct makes in this variant. Resources that SAM's template has too get the same names."""
    return cloudformation.resolve(cdk_templates()[variant], {}, KNOWN, _name_of)


def _name_of(logical_id):
    """Returns the name without the construct's own id at its start and CDK's hash at its end."""
    return re.sub(r"[0-9A-F]{8}$", "", re.sub(r"^Gateway(Alarms)?", "", logical_id))
