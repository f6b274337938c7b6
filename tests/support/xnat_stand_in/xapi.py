"""The routes below /xapi: the site's settings, users, the DICOM receivers, the query-retrieve plugin."""

import re
from typing import Any

from pydicom.dataset import Dataset
from starlette.responses import JSONResponse, Response

from xnat_stand_in.archive import statements
from xnat_stand_in.dimse import Unreachable
from xnat_stand_in.server import Call, StandIn, done, missing
from xnat_stand_in.state import now

_FORBIDDEN = done("insufficient privileges", 403)


def site(server: StandIn, call: Call) -> Response:
    settings = server.state.document["site"]
    if call.method == "POST":
        if not server.has_role(call.user, "Administrator"):
            return _FORBIDDEN
        with server.state.change():
            settings.update(call.json())
    name = call.path.get("name")
    return JSONResponse(settings.get(name) if name else settings)


def users(server: StandIn, call: Call) -> Response:
    known = server.state.document["users"]
    if call.url.endswith("/profiles"):
        return JSONResponse([_profile(name, user) for name, user in known.items()])
    if call.method == "GET":
        return JSONResponse(sorted(known))
    given = call.json()
    if not re.fullmatch(r"[A-Za-z0-9-]+", given["username"]):
        return done("no user name", 400)
    if given["username"] in known:
        return done("it exists", 409)
    with server.state.change():
        known[given["username"]] = {"enabled": True, "roles": ["SiteUser"], "groups": [], **given}
    return JSONResponse(_profile(given["username"], known[given["username"]]), 201)


def user(server: StandIn, call: Call) -> Response:
    known = server.state.document["users"].get(call.path["name"])
    if known is None:
        return missing(call.path["name"])
    if call.method == "PUT":
        if not server.has_role(call.user, "Administrator"):
            return _FORBIDDEN
        with server.state.change():
            if "value" in call.path:
                known["enabled"] = call.path["value"] == "true"
            elif call.url.rstrip("/").endswith(("/roles", "/groups")):
                known[call.url.rstrip("/").rpartition("/")[2]] = call.json()
            else:
                known.update(call.json())
    if call.url.rstrip("/").endswith(("/roles", "/groups")):
        return JSONResponse(known.get(call.url.rstrip("/").rpartition("/")[2], []))
    return JSONResponse(_profile(call.path["name"], known))


def anonymise(server: StandIn, call: Call) -> Response:
    known = server.state.document["anonymize"]
    name = "enabled" if call.url.endswith("/enabled") else "script"
    if call.method == "PUT":
        if name == "script":
            try:
                statements(call.body.decode())
            except ValueError as error:
                return done(str(error), 400)
        with server.state.change():
            known[name] = call.json() if name == "enabled" else call.body.decode()
    return JSONResponse(known[name]) if name == "enabled" else done(known[name])


def receivers(server: StandIn, call: Call) -> Response:
    known = server.state.document["receivers"]
    if call.method == "GET":
        return JSONResponse(known)
    if call.method == "POST":
        given = call.json()
        if any((item["aeTitle"], item["port"]) == (given["aeTitle"], given["port"]) for item in known):
            return done("it exists", 409)
        with server.state.change():
            known.append({"enabled": True, **given, "id": server.state.number()})
    else:
        found = [item for item in known if str(item["id"]) == call.path["id"]]
        if not found:
            return missing("receiver")
        with server.state.change():
            if call.method == "DELETE":
                known.remove(found[0])
            else:
                found[0].update(call.json())
    server.dimse.listen()
    return JSONResponse(known[-1] if call.method == "POST" else True)


def pacs(server: StandIn, call: Call) -> Response:
    known = server.state.document["pacs"]
    if "id" not in call.path:
        if call.method == "GET":
            return JSONResponse(known)
        given = call.json()
        if any(item["label"] == given["label"] for item in known):
            return done("unique constraint", 500)
        with server.state.change():
            known.append({**given, "id": server.state.number()})
        return JSONResponse(known[-1])
    found = next((item for item in known if str(item["id"]) == call.path["id"]), None)
    if found is None:
        return missing("PACS")
    if call.url.endswith("/status"):
        answers = server.dimse.echo(found)
        return JSONResponse({"pacsId": found["id"], "successful": answers, "pingTime": now(), "enabled": True})
    with server.state.change():
        if call.method == "DELETE":
            known.remove(found)
        else:
            found.update(call.json())
    return JSONResponse(found)


def dqr_settings(server: StandIn, call: Call) -> Response:
    settings = server.state.document["dqr"]
    if call.method == "POST":
        with server.state.change():
            settings.update({name: str(value).lower() if isinstance(value, bool) else str(value)
                             for name, value in call.json().items()})  # fmt: skip
        return done()
    return JSONResponse(settings)


def find_studies(server: StandIn, call: Call) -> Response:
    given = call.json()
    asked = _asked(server, call, given)
    if isinstance(asked, Response):
        return asked
    keys = dict.fromkeys(("StudyDate", "PatientID", "ModalitiesInStudy"), "")
    try:
        found = server.dimse.find(asked, "STUDY", AccessionNumber=given["accessionNumber"], StudyInstanceUID="", **keys)
    except Unreachable:
        return done("PACS not reachable", 500)
    if not found:
        return Response(status_code=204)
    return JSONResponse(
        [
            {
                "studyInstanceUid": _text(item, "StudyInstanceUID"),
                "accessionNumber": _text(item, "AccessionNumber"),
                "patient": {"id": _text(item, "PatientID")},
            }
            for item in found
        ]
    )


def find_series(server: StandIn, call: Call) -> Response:
    given = call.json()
    asked = _asked(server, call, given)
    if isinstance(asked, Response):
        return asked
    answer = {}
    for study in given["studyInstanceUids"]:
        try:
            found = server.dimse.find(
                asked, "SERIES", StudyInstanceUID=study, SeriesInstanceUID="", NumberOfSeriesRelatedInstances=""
            )
        except Unreachable:
            return done("PACS not reachable", 500)
        counts = [_text(item, "NumberOfSeriesRelatedInstances") for item in found]
        results = [
            {
                "seriesInstanceUid": _text(item, "SeriesInstanceUID"),
                "numberOfRelatedInstances": int(count) if count else None,
            }
            for item, count in zip(found, counts, strict=True)
        ]
        answer[study] = {"results": results, "hasLimitedResultSetSize": False}
    return JSONResponse(answer)


def order(server: StandIn, call: Call) -> Response:
    given = call.json()
    asked = _asked(server, call, given)
    if isinstance(asked, Response):
        return asked
    document = server.state.document
    receiver = next(
        (
            item
            for item in document["receivers"]
            if (item["aeTitle"], item["port"]) == (given["aeTitle"], given["port"]) and item["enabled"]
        ),
        None,
    )
    if document["dqr"]["allowAllProjectsToUseDqr"] != "true":
        return _FORBIDDEN
    if receiver is None or receiver["identifier"] != "dqrObjectIdentifier":
        return done("no such receiver for DQR", 500)
    if not receiver.get("customProcessing") and not given["forceImport"]:
        return done("the receiver does not relabel", 400)
    placed = [
        {
            "id": server.state.number(),
            "username": call.user,
            "pacsId": given["pacsId"],
            "xnatProject": given["projectId"],
            "studyInstanceUid": study["studyInstanceUid"],
            "accessionNumber": study.get("accessionNumber", ""),
            "relabelMap": study.get("relabelMap", {}),
            "destinationAeTitle": given["aeTitle"],
            "status": "QUEUED",
            "queuedTime": now(),
        }
        for study in given["studies"]
    ]
    with server.state.change():
        document["queue"] += placed
    server.dimse.wake()
    return JSONResponse(placed)


def orders(server: StandIn, call: Call) -> Response:
    document = server.state.document
    if call.method == "POST":
        with server.state.change():
            document["queue"] = [item for item in document["queue"] if item["id"] not in call.json()]
        return JSONResponse(True)
    name = "history" if call.url.endswith("/history") else "queue"
    rows = [item for item in list(document[name]) if item["username"] == call.user]
    return JSONResponse(rows[: int(call.query.get("pageSize", "100"))])


def _asked(server: StandIn, call: Call, given: dict[str, Any]) -> Any:
    """The PACS that the call is about, or the answer that there is none or that the user may not."""
    allowed = server.state.document["dqr"]["allowAllUsersToUseDqr"] == "true"
    if not allowed and not server.has_role(call.user, "Dqr", "Administrator"):
        return _FORBIDDEN
    found = next((item for item in server.state.document["pacs"] if item["id"] == given["pacsId"]), None)
    return found if found is not None else missing("PACS")


def _profile(name: str, known: dict[str, Any]) -> dict[str, Any]:
    return {"username": name, **{key: value for key, value in known.items() if key not in {"password", "roles"}}}


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip(" \0")


ROUTES = [
    ("GET POST", "/xapi/siteConfig", site),
    ("GET", "/xapi/siteConfig/{name}", site),
    ("GET POST", "/xapi/users", users),
    ("GET", "/xapi/users/profiles", users),
    ("GET PUT", "/xapi/users/{name}", user),
    ("PUT", "/xapi/users/{name}/enabled/{value}", user),
    ("GET PUT", "/xapi/users/{name}/roles", user),
    ("GET PUT", "/xapi/users/{name}/groups", user),
    ("GET PUT", "/xapi/anonymize/site", anonymise),
    ("GET PUT", "/xapi/anonymize/site/enabled", anonymise),
    ("GET POST", "/xapi/dicomscp", receivers),
    ("PUT DELETE", "/xapi/dicomscp/{id}", receivers),
    ("GET POST", "/xapi/pacs", pacs),
    ("PUT DELETE", "/xapi/pacs/{id}", pacs),
    ("GET", "/xapi/pacs/{id}/status", pacs),
    ("GET POST", "/xapi/dqr/settings", dqr_settings),
    ("POST", "/xapi/dqr/query/studies", find_studies),
    ("POST", "/xapi/dqr/query/series", find_series),
    ("POST", "/xapi/dqr/import", order),
    ("GET POST", "/xapi/dqr/import/queue", orders),
    ("GET", "/xapi/dqr/import/history", orders),
]
