"""The hub as a process: start, stop, kill, and the commands beside it."""

import http.client
import json
import logging
import signal
import ssl
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from flip_common.wire import ModelStatus
from flip_hub.__main__ import app

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _keep_logging():
    """Commands called in this process set up its logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def run(*arguments, stdin=""):
    return CliRunner().invoke(app, arguments, input=stdin)


def create_admin(env_file, email="ada@example.org", password=PASSWORD):
    return run("create-admin", "--email", email, "--env-file", str(env_file), stdin=password + "\n")


@contextmanager
def signed_in(process):
    with httpx.Client(base_url=process.url, timeout=30, trust_env=False) as client:
        response = client.post("/api/auth/sign-in", json={"email": "ada@example.org", "password": PASSWORD})
        assert response.status_code == 200, response.text
        client.headers["Authorization"] = f"Bearer {response.json()['token']}"
        yield client


def test_the_embedded_database_outlives_a_killed_hub_and_serves_one_hub_at_a_time(write_env, open_folder, start_hub):
    env_file = write_env()
    assert create_admin(env_file).stdout == "administrator ada@example.org made\n"
    killed = start_hub(env_file)
    assert create_admin(env_file, "eve@example.org").exit_code == 0, "also while the hub is running"
    second = run("serve", "--port", "0", "--internal-port", "0", "--env-file", str(env_file))
    assert (second.exit_code, "another hub uses this folder" in second.stderr) == (2, True)
    with signed_in(killed) as admin:
        kit = admin.post("/api/trusts", json={"name": "A"}).json()
    killed.stop(signal.SIGKILL)
    again = start_hub(env_file)
    with signed_in(again) as admin:
        (trust,) = admin.get("/api/trusts").json()
        assert trust["trust_id"] == kit["trust_id"]
        beat = {"release": "1", "sent_at": datetime.now(UTC).isoformat()}
        response = admin.post("/api/trust/heartbeat", json=beat, headers={kit["api_key_header"]: kit["api_key"]})
        assert response.json()["trust_name"] == "A"
    assert again.stop() == 0
    data = open_folder / "hub-process" / "postgres"
    assert (data / "PG_VERSION").exists()
    assert not (data / "postmaster.pid").exists(), "the server that the killed hub left behind must be stopped too"


def test_a_bucket_that_cannot_be_used_ends_the_start_before_anything_else(write_env, open_folder, aws):
    env_file = write_env(hub_files_bucket="no-such-bucket")
    refused = run("serve", "--port", "0", "--internal-port", "0", "--env-file", str(env_file))
    assert refused.exit_code == 2
    assert "Traceback" not in refused.stderr
    assert "\nHUB_FILES_BUCKET: no-such-bucket: there is no such bucket" in f"\n{refused.stderr}"
    assert not (open_folder / "hub-process" / "postgres").exists()


def test_sigterm_ends_long_polls_at_once(write_env, start_hub, pg_url):
    env_file = write_env(database_url=pg_url)
    create_admin(env_file)
    process = start_hub(env_file)
    answers = []
    with signed_in(process) as admin:
        kit = admin.post("/api/trusts", json={"name": "A"}).json()
        headers = {kit["api_key_header"]: kit["api_key"]}

        def poll():
            with httpx.Client(base_url=process.url, timeout=60, trust_env=False) as client:
                answers.append(client.post("/api/trust/tasks/lease", json={"wait_seconds": 50}, headers=headers))

        thread = threading.Thread(target=poll)
        thread.start()
        path = f"/api/trusts/{kit['trust_id']}/keys"
        while admin.get(path).json()[0]["first_used_at"] is None:
            time.sleep(0.05)
    began = time.monotonic()
    assert process.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 8
    thread.join(timeout=5)
    assert answers[0].json() == {"tasks": []}


@pytest.mark.parametrize(("seconds", "open_after"), [(1, False), (4, True)])
def test_an_idle_connection_is_kept_as_long_as_the_setting_says(write_env, start_hub, pg_url, seconds, open_after):
    hub = start_hub(write_env(database_url=pg_url, hub_keep_alive_seconds=seconds))
    caller = http.client.HTTPConnection("127.0.0.1", httpx.URL(hub.url).port)
    caller.request("GET", "/api/health")
    caller.getresponse().read()
    caller.sock.settimeout(2.5)
    try:
        closed = caller.sock.recv(1) == b""
    except TimeoutError:
        closed = False
    caller.close()
    assert closed is not open_after


def test_what_an_administrator_cannot_be_made_of(write_env, pg_url):
    env_file = write_env(database_url=pg_url)
    short = create_admin(env_file, password="too short")
    assert (short.exit_code, "12 to 256 characters" in short.stderr) == (2, True)
    assert create_admin(env_file).exit_code == 0
    twice = create_admin(env_file)
    assert (twice.exit_code, "exists" in twice.stderr) == (2, True)


def test_an_administrator_without_a_password_needs_an_issuer(write_env, pg_url):
    arguments = ("create-admin", "--email", "ada@example.org", "--no-password", "--env-file")
    refused = run(*arguments, str(write_env(database_url=pg_url)))
    assert (refused.exit_code, "HUB_OIDC_ISSUER" in refused.stderr) == (2, True)
    issuer = {"hub_oidc_issuer": "https://issuer.example.org", "hub_oidc_client_id": "flip"}
    made = run(*arguments, str(write_env(database_url=pg_url, **issuer)))
    assert (made.exit_code, made.stdout) == (0, "administrator ada@example.org made\n")


def test_the_internal_api_is_not_on_the_public_port(write_env, start_hub, internal_key, pg_url):
    process = start_hub(write_env(database_url=pg_url))
    headers = {"X-Internal-Service-Key": internal_key}
    path = "/api/internal/models/00000000-0000-4000-8000-000000000000/status"
    body = {"status": ModelStatus.PREPARED}
    with httpx.Client(trust_env=False, timeout=60, headers=headers) as client:
        public = client.put(process.url + path, json=body)
        internal = client.put(process.internal_url + path, json=body)
    assert public.json()["code"] == "not_found"
    assert public.json()["detail"] == "Not Found", "no such route"
    assert internal.status_code != public.status_code or internal.json()["detail"] != "Not Found"


def test_what_the_command_line_refuses(write_env, open_folder, start_hub, pg_url):
    env_file = str(write_env(hub_dta_dir="x"))
    refused = run("serve", "--env-file", env_file)
    assert (refused.exit_code, "HUB_DTA_DIR: unknown setting" in refused.stderr) == (2, True)
    env_file = str(write_env(database_url=pg_url))
    refused = run("serve", "--env-file", env_file, "--tls-cert", "x.pem")
    assert (refused.exit_code, "go together" in refused.stderr) == (2, True)
    process = start_hub(write_env(database_url=pg_url))
    port = process.url.rpartition(":")[2]
    refused = run("serve", "--env-file", env_file, "--port", port)
    assert (refused.exit_code, f"cannot listen on 127.0.0.1:{port}" in refused.stderr) == (2, True)
    key = open_folder / "hub-process" / "master.key"
    key.chmod(0o644)
    process.stop()
    refused = run("serve", "--env-file", env_file, "--port", "0", "--internal-port", "0")
    assert (refused.exit_code, "chmod 600" in refused.stderr) == (2, True)


def test_tls(write_env, tmp_path, start_hub, pg_url):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(pem))
    plain = serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    tls = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    process = start_hub(write_env(database_url=pg_url), *tls)
    port = process.url.rpartition(":")[2]
    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    with httpx.Client(verify=context, trust_env=False, timeout=60) as client:
        assert client.get(f"https://localhost:{port}/api/health").json() == {"status": "ok"}
    (tmp_path / "key.pem").write_text("no key")
    refused = run(
        "serve", "--env-file", str(write_env(database_url=pg_url)), "--port", "0", "--internal-port", "0", *tls
    )
    assert (refused.exit_code, "TLS certificate or key cannot be used" in refused.stderr) == (2, True)


def test_the_openapi_document_needs_no_settings():
    printed = run("openapi")
    assert printed.exit_code == 0
    document = json.loads(printed.stdout)
    assert "/api/trust/tasks/lease" in document["paths"]
    assert not any(path.startswith("/api/internal") for path in document["paths"])


def test_logs_are_json_lines_without_secrets(write_env, start_hub, pg_url):
    env_file = write_env(database_url=pg_url)
    create_admin(env_file)
    process = start_hub(env_file)
    with signed_in(process) as admin:
        kit = admin.post("/api/trusts", json={"name": "A"}).json()
        token = admin.headers["Authorization"].removeprefix("Bearer ")
    process.stop()
    text = "".join(process.log)
    assert {json.loads(line)["service"] for line in text.splitlines()} == {"hub"}
    assert "stopping" in text
    assert [secret for secret in (PASSWORD, token, kit["api_key"], kit["aes_key_base64"]) if secret in text] == []
