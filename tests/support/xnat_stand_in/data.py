"""The routes below /data: sign-in, projects, subjects, sessions, files, the prearchive."""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from starlette.responses import FileResponse, JSONResponse, Response

from xnat_stand_in.server import Call, StandIn, done, listing, missing

NAMESPACE = "{http://nrg.wustl.edu/xnat}"


def session(server: StandIn, call: Call) -> Response:
    if call.method == "DELETE":
        for token in [token for token, user in server.sessions.items() if user == call.user]:
            del server.sessions[token]
        return done()
    token = server.sign_in(call.user)
    answer = done(token)
    answer.set_cookie("JSESSIONID", token, httponly=True)
    return answer


def projects(server: StandIn, call: Call) -> Response:
    known = server.state.document["projects"]
    if call.method == "GET":
        rows = [{"ID": name, "URI": f"/data/projects/{name}", **item} for name, item in known.items()]
        if call.query.get("format") == "csv":
            return done(_csv(rows, ("ID", "secondary_ID", "name", "description", "URI")))
        return listing(rows)
    try:
        root = ElementTree.fromstring(call.body)
    except ElementTree.ParseError:
        return done("not XML", 400)
    given = {item.tag.removeprefix(NAMESPACE): item.text or "" for item in root}
    if root.tag != f"{NAMESPACE}projectData" or not given.get("ID"):
        return done("no xnat:projectData with an ID", 400)
    if given["ID"] in known or given["name"] in {item["name"] for item in known.values()}:
        return done("it exists", 409)
    with server.state.change():
        known[given.pop("ID")] = {"accessibility": "protected", "prearchive_code": 0, "users": {}, **given}
    # With no site address XNAT makes the project and fails to say where it is.
    return done("made") if server.state.document["site"]["siteUrl"] else done("NullPointerException", 500)


def project(server: StandIn, call: Call) -> Response:
    name = call.path["project"]
    item = server.state.document["projects"].get(name)
    if item is None:
        return missing(name)
    if call.method == "DELETE":
        server.archive.remove_project(name)
        return done()
    return JSONResponse({"items": [{"data_fields": {"ID": name, "name": item["name"]}}]})


def setting(server: StandIn, call: Call) -> Response:
    item = server.state.document["projects"].get(call.path["project"])
    if item is None:
        return missing(call.path["project"])
    name = "accessibility" if "accessibility" in call.url else "prearchive_code"
    if call.method == "PUT":
        value = call.path["value"]
        with server.state.change():
            item[name] = value if name == "accessibility" else int(value)
    return done(str(item[name]))


def prearchive(server: StandIn, call: Call) -> Response:
    rows = [item for item in server.state.document["prearchive"] if item["project"] == call.path["project"]]
    if "name" not in call.path:
        return listing(rows)
    for row in rows:
        if (row["timestamp"], row["name"]) == (call.path["timestamp"], call.path["name"]):
            server.archive.remove_prearchive(row)
            return done()
    return missing(call.path["name"])


def subjects(server: StandIn, call: Call) -> Response:
    found = {item["subject"] for item in _of_project(server, call)}
    return listing([{"ID": f"S_{label}", "label": label, "project": call.path["project"]} for label in sorted(found)])


def subject(server: StandIn, call: Call) -> Response:
    found = [item for item in _of_project(server, call) if item["subject"] == call.path["subject"]]
    if not found:
        return missing(call.path["subject"])
    for item in found:
        server.archive.remove_experiment(item["ID"])
    return done()


def experiments(server: StandIn, call: Call) -> Response:
    wanted = {name: call.path.get(name) or call.query.get(name) for name in ("project", "subject")}
    found = [
        {"URI": f"/data/experiments/{item['ID']}", **item}
        for item in server.state.document["experiments"].values()
        if all(value is None or item[name] == value for name, value in wanted.items())
    ]
    return listing(found)


def experiment(server: StandIn, call: Call) -> Response:
    for item in _of_project(server, call):
        if call.path["label"] in {item["label"], item["ID"]}:
            if call.method == "DELETE":
                server.archive.remove_experiment(item["ID"])
                return done()
            return JSONResponse({"items": [{"data_fields": {**item, "subject_ID": f"S_{item['subject']}"}}]})
    return missing(call.path["label"])


def scans(server: StandIn, call: Call) -> Response:
    folder = _folder(server, call)
    if folder is None:
        return missing()
    names = sorted(item.name for item in (folder / "SCANS").iterdir())
    return listing([{"ID": name, "quality": "usable", "xsiType": "xnat:mrScanData"} for name in names])


def files(server: StandIn, call: Call) -> Response:
    """Files of scans, or of the session: a listing, or with `format=zip` all of them."""
    folder = _folder(server, call)
    if folder is None:
        return missing()
    resource = call.path.get("resource", "*")
    if "scan" in call.path:
        scan = call.path["scan"]
        found = sorted(folder.glob(f"SCANS/{'*' if scan == 'ALL' else scan}/{resource}/*"))
    else:
        found = sorted(folder.glob(f"RESOURCES/{resource}/*"))
    if call.query.get("format") == "zip":
        if not found:
            return missing("files")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in found:
                where = "/".join(path.relative_to(folder).parts[:-2]).lower()
                archive.write(path, f"{folder.name}/{where}/resources/{path.parent.name}/files/{path.name}")
        return Response(packed.getvalue(), media_type="application/zip")
    return listing([_file_row(call.path["number"], folder, path) for path in found])


def resource(server: StandIn, call: Call) -> Response:
    """A resource of the session, or a file in one, of the session or of a scan."""
    folder = _folder(server, call)
    if folder is None:
        return missing()
    parent = folder / "SCANS" / call.path["scan"] if "scan" in call.path else folder / "RESOURCES"
    target = parent / call.path["resource"]
    path = target / call.path.get("name", "")
    if call.method == "GET":
        return FileResponse(path) if path.is_file() else missing(path.name)
    if path.exists() and call.query.get("overwrite") != "true":
        return done("it exists", 409)
    if "name" in call.path and call.query.get("inbody") != "true":
        return done("no file in the request", 400)
    target.mkdir(parents=True, exist_ok=True)
    if "name" in call.path:
        path.write_bytes(call.body)
    return done()


def _of_project(server: StandIn, call: Call) -> list[dict[str, Any]]:
    known = list(server.state.document["experiments"].values())
    return [item for item in known if item["project"] == call.path["project"]]


def _folder(server: StandIn, call: Call) -> Path | None:
    item = server.state.document["experiments"].get(call.path["number"])
    return server.archive.experiment_folder(item) if item else None


def _file_row(number: str, folder: Path, path: Path) -> dict[str, str]:
    inner = path.relative_to(folder).parts
    where = f"scans/{inner[1]}/" if inner[0] == "SCANS" else ""
    return {
        "Name": path.name,
        "Size": str(path.stat().st_size),
        "collection": path.parent.name,
        "URI": f"/data/experiments/{number}/{where}resources/{path.parent.name}/files/{path.name}",
    }


def _csv(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


_SESSION = "/data/experiments/{number}"
ROUTES = [
    ("GET POST DELETE", "/data/JSESSION", session),
    ("GET POST", "/data/projects", projects),
    ("GET DELETE", "/data/projects/{project}", project),
    ("GET", "/data/projects/{project}/accessibility", setting),
    ("PUT", "/data/projects/{project}/accessibility/{value}", setting),
    ("GET", "/data/projects/{project}/prearchive_code", setting),
    ("PUT", "/data/projects/{project}/prearchive_code/{value}", setting),
    ("GET", "/data/projects/{project}/subjects", subjects),
    ("DELETE", "/data/projects/{project}/subjects/{subject}", subject),
    ("GET", "/data/projects/{project}/subjects/{subject}/experiments", experiments),
    ("GET", "/data/projects/{project}/experiments", experiments),
    ("GET DELETE", "/data/projects/{project}/experiments/{label}", experiment),
    ("GET", "/data/experiments", experiments),
    ("GET", _SESSION + "/scans", scans),
    ("GET", _SESSION + "/scans/{scan}/files", files),
    ("GET", _SESSION + "/scans/{scan}/resources/{resource}/files", files),
    ("GET PUT", _SESSION + "/scans/{scan}/resources/{resource}/files/{name}", resource),
    ("PUT", _SESSION + "/scans/{scan}/resources/{resource}", resource),
    ("GET", _SESSION + "/files", files),
    ("GET", _SESSION + "/resources/{resource}/files", files),
    ("GET PUT", _SESSION + "/resources/{resource}/files/{name}", resource),
    ("PUT", _SESSION + "/resources/{resource}", resource),
    ("GET", "/data/prearchive/projects/{project}", prearchive),
    ("DELETE", "/data/prearchive/projects/{project}/{timestamp}/{name}", prearchive),
]
