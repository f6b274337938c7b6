"""Asks XNAT as imaging-api does: `fetch` a study, `count` what it has, `open` the plugin to all."""

import base64
import json
import sys
import time
import urllib.request
from pathlib import Path

PROJECT = "11111111-1111-1111-1111-111111111111"
XML = f'<xnat:projectData xmlns:xnat="http://nrg.wustl.edu/xnat"><xnat:ID>{PROJECT}</xnat:ID><xnat:name>P</xnat:name></xnat:projectData>'


def ask(method, path, body=None, user="flip-imaging", secret="xnat_imaging"):
    password = Path(f"/opt/flip/config/secrets/{secret}").read_text().strip()
    given = base64.b64encode(f"{user}:{password}".encode()).decode()
    data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
    kind = "application/xml" if isinstance(body, str) else "application/json"
    headers = {"Authorization": f"Basic {given}", "Content-Type": kind}
    request = urllib.request.Request(f"http://127.0.0.1:8090{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read().decode()
    return json.loads(text) if text[:1] in {"[", "{"} else text


def files():
    found = ask("GET", f"/data/projects/{PROJECT}/experiments/A7?format=json")["items"][0]["data_fields"]["ID"]
    return ask("GET", f"/data/experiments/{found}/scans/ALL/files?format=json")["ResultSet"]["Result"]


def fetch():
    pacs = ask("GET", "/xapi/pacs")[0]["id"]
    deadline = time.monotonic() + 30
    while not ask("GET", f"/xapi/pacs/{pacs}/status")["successful"]:
        assert time.monotonic() < deadline, "XNAT does not reach the PACS"
        time.sleep(0.5)
    ask("POST", "/data/projects", XML)
    ask("PUT", f"/data/projects/{PROJECT}/prearchive_code/4")
    found = ask("POST", "/xapi/dqr/query/studies", {"pacsId": pacs, "accessionNumber": "A7"})
    study = {"studyInstanceUid": found[0]["studyInstanceUid"], "accessionNumber": "A7"}
    study["relabelMap"] = {"Subject": "A7", "Session": "A7"}
    order = {"pacsId": pacs, "aeTitle": "XNAT", "port": 8104, "projectId": PROJECT, "forceImport": False}
    ask("POST", "/xapi/dqr/import", {**order, "studies": [study]})
    while True:
        try:
            assert len(files()) == 3
        except OSError:
            assert time.monotonic() < deadline, ask("GET", "/xapi/dqr/import/history")
            time.sleep(0.5)
        else:
            return


if sys.argv[1] == "fetch":
    fetch()
elif sys.argv[1] == "count":
    assert len(files()) == 3
else:
    ask("POST", "/xapi/dqr/settings", {"allowAllUsersToUseDqr": True}, "admin", "xnat_admin")
