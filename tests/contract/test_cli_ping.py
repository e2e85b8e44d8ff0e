"""`pushgw ping` sends an empty signed write and reports in one line whether URL, region, credentials and permission are right."""
import pytest

from support.command_line import pushgw
from support.http_server import closed_port
from support.receiver import Answer, Receiver


@pytest.fixture
def workspace():
    """A receiver that answers 403 to a wrong signature, as AMP does. (Ping breaks one rule only: its write is empty.)"""
    with Receiver() as one:
        one.answer_with(lambda write: Answer(403, '{"message":"The security token included in the request is invalid."}')
                        if signature_faults(write) else Answer(200))
        yield one


def signature_faults(write):
    return [fault for fault in write.faults if "without series" not in fault]


def ping(url, **env):
    done = pushgw("ping", timeout=60, REMOTE_WRITE_URL=url, **env)
    return done, (done.stdout + done.stderr).strip()


def test_ping_reports_a_workspace_that_answers_in_one_line(workspace):
    done, said = ping(workspace.remote_write_url)
    assert done.returncode == 0, said
    assert len(done.stdout.strip().splitlines()) == 1
    (write,) = workspace.writes
    assert signature_faults(write) == []
    assert write.series == []


def test_ping_takes_the_workspace_from_the_ancestors_variable_too(workspace):
    done, said = ping(None, AWS_PROMETHEUS_ENDPOINT=workspace.remote_write_url)
    assert done.returncode == 0, said


@pytest.mark.parametrize("env", [dict(AWS_SECRET_ACCESS_KEY="wrong"), dict(AWS_ACCESS_KEY_ID="AKIDOTHER"),
                                 dict(SIGV4_REGION="eu-west-1")], ids=["secret", "key", "region"])
def test_ping_reports_a_wrong_signature_and_what_to_do(workspace, env):
    done, said = ping(workspace.remote_write_url, **env)
    assert done.returncode == 1
    assert "403" in said
    assert "aps:RemoteWrite" in said or "credentials" in said.lower()


def test_ping_names_the_missing_permission_for_403(workspace):
    workspace.answer_with(lambda write: Answer(403, "User is not authorized to perform: aps:RemoteWrite"))
    done, said = ping(workspace.remote_write_url)
    assert done.returncode == 1
    assert "aps:RemoteWrite" in said


def test_ping_reports_a_wrong_path_or_workspace_for_404(workspace):
    workspace.answer_with(lambda write: Answer(404, "workspace not found"))
    done, said = ping(workspace.remote_write_url)
    assert done.returncode == 1
    assert "404" in said and ("URL" in said or "workspace" in said)


@pytest.mark.parametrize("status", [301, 400, 429, 500, 503])
def test_ping_fails_for_any_other_answer_and_names_it(workspace, status):
    workspace.answer_with(lambda write: Answer(status, "told so"))
    done, said = ping(workspace.remote_write_url)
    assert done.returncode == 1
    assert str(status) in said


def test_ping_reports_a_refused_connection_with_the_address():
    port = closed_port()
    done, said = ping(f"http://127.0.0.1:{port}/workspaces/ws-1/api/v1/remote_write")
    assert done.returncode == 1
    assert str(port) in said


def test_ping_reports_a_host_that_does_not_exist():
    done, said = ping("http://no-such-host.invalid/workspaces/ws-1/api/v1/remote_write")
    assert done.returncode == 1
    assert "no-such-host.invalid" in said


def test_ping_names_a_missing_setting():
    done, said = ping(None)
    assert done.returncode in (1, 2)
    assert "REMOTE_WRITE_URL" in said


def test_ping_reports_missing_credentials(workspace):
    done, said = ping(workspace.remote_write_url, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None, AWS_SESSION_TOKEN=None)
    assert done.returncode == 1
    assert "credentials" in said.lower()
    assert workspace.writes == []


def test_ping_reports_a_wrong_path_on_an_amp_host_with_the_right_one():
    host = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-0123"
    done, said = ping(f"{host}/")
    assert done.returncode in (1, 2)
    assert f"{host}/api/v1/remote_write" in said


def test_ping_never_shows_secrets(workspace):
    _, said = ping(workspace.remote_write_url)
    _, also = ping(workspace.remote_write_url, AWS_SECRET_ACCESS_KEY="topsecretvalue")
    for secret in "wJalrXUtnFEMI", "topsecretvalue", "IQoJb3JpZ2luX2Vj":
        assert secret not in said + also


def test_ping_signs_nothing_without_authentication():
    with Receiver(auth="none") as receiver:
        done, said = ping(receiver.remote_write_url, REMOTE_WRITE_AUTH="none", AWS_ACCESS_KEY_ID=None)
        assert done.returncode == 0, said
        assert signature_faults(receiver.writes[0]) == []
