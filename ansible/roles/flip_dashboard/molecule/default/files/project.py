"""What a project admin does in the dashboard: signs in, makes the project, and fetches the FL server's kit.

python3 project.py FOLDER   # where the kit is opened
"""

import io
import json
import ssl
import sys
import urllib.request
import zipfile
from pathlib import Path

BASE = "https://dashboard.test/nvflare-dashboard/api/v1"
TRUSTED = ssl.create_default_context(cafile="/srv/acme-ca.pem")


def ask(path, body, token="", method="POST"):
    """The dashboard's answer."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(f"{BASE}/{path}", json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, context=TRUSTED, timeout=30) as answer:
        return answer.read()


def sign_in():
    """A token for the first project admin."""
    password = Path("/opt/flip/config/secrets/dashboard_admin").read_text(encoding="ascii").strip()
    return json.loads(ask("login", {"email": "ops@example.org", "password": password}))["access_token"]


if __name__ == "__main__":
    token = sign_in()
    if len(sys.argv) > 1:
        project = {"short_name": "net1", "title": "A", "description": "A", "server1": "fl.test", "frozen": True}
        ask("project", project, token, "PATCH")
        kit = zipfile.ZipFile(io.BytesIO(ask("servers/1/blob", {"pin": "abc123"}, token)))
        kit.extractall(sys.argv[1], pwd=b"abc123")
    print("signed in")
