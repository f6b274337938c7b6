"""XNAT's REST API, as far as setting it up goes."""

import base64
import json
import time
import urllib.error
import urllib.request
from urllib.parse import quote

FIRST_PASSWORD = "admin"  # noqa: S105 - XNAT's own, which is to go
ROLES = ["Administrator", "Dqr", "non_expiring"]
GROUPS = ["ALL_DATA_ADMIN"]
TIMEOUT_SECONDS = 60
POLL_SECONDS = 1


class SiteError(Exception):
    """XNAT cannot be set up; the text says why and what to do."""


class SiteAwayError(SiteError):
    """XNAT does not answer at all."""


class Site:
    """XNAT, as one of its accounts."""

    def __init__(self, wanted, *, check_mode):
        self.wanted, self.check_mode, self.url = wanted, check_mode, wanted["url"]
        self.user, self.password = "admin", wanted["admin_password"]
        # XNAT is on this host: no proxy is asked.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect())
        self.changes = []

    def send(self, method, path, body=None, *, kind="application/json", account=None):
        """Status and text of an answer."""
        user, password = account or (self.user, self.password)
        given = base64.b64encode(f"{user}:{password}".encode()).decode()
        data = None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        headers = {"Authorization": f"Basic {given}", "Content-Type": kind}
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - http, by the role
        try:
            with self.opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError as error:
            raise SiteAwayError(f"XNAT does not answer at {self.url}: {error}") from None

    def get(self, path):
        """The JSON at a path; ends the module where there is none."""
        status, text = self.send("GET", path)
        try:
            if status == 200:
                return json.loads(text)
        except ValueError:
            status = "no JSON"
        raise SiteError(f"XNAT answered {status} to GET {path}")

    def change(self, what, method, path, body=None, **options):
        """Changes something, unless in check mode; the answer must be a good one."""
        self.changes.append(what)
        if self.check_mode:
            return
        status, _ = self.send(method, path, body, **options)
        if not 200 <= status < 300:
            raise SiteError(f"XNAT answered {status} to {method} {path} ({what})")

    def await_answer(self):
        """XNAT was healthy, but a Swarm may have started it anew since."""
        deadline = time.monotonic() + self.wanted["wait_seconds"]
        while True:
            try:
                return self.send("GET", "/app/template/Login.vm")
            except SiteAwayError:
                if self.check_mode or time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)

    def sign_in(self):
        """Finds out which password admin has; the first one is changed."""
        status, _ = self.send("GET", "/xapi/siteConfig")
        if status != 401:
            return
        first = ("admin", FIRST_PASSWORD)
        if self.send("GET", "/xapi/siteConfig", account=first)[0] == 401:
            raise SiteError(
                "XNAT takes neither the secret xnat_admin nor its first password for admin: put the password that "
                "admin has into /opt/flip/config/secrets/xnat_admin. After 20 wrong ones XNAT shuts it for an hour"
            )
        self.change(
            "admin's first password",
            "PUT",
            "/xapi/users/admin",
            {"username": "admin", "password": self.wanted["admin_password"]},
            account=first,
        )
        if self.check_mode:
            self.password = FIRST_PASSWORD

    def set_up_site(self):
        """The site's settings; whether anything else can be looked at, which an XNAT that is new does not allow."""
        wanted, known = self.wanted["site"], self.get("/xapi/siteConfig")
        differing = {key: value for key, value in wanted.items() if _text(known.get(key)) != _text(value)}
        if differing:
            self.change(f"site: {', '.join(sorted(differing))}", "POST", "/xapi/siteConfig", differing)
        return not ("initialized" in differing and self.check_mode)

    def await_plugin(self):
        """The plugin's routes come some time after XNAT's own."""
        deadline = time.monotonic() + self.wanted["wait_seconds"]
        while self.send("GET", "/xapi/dqr/settings")[0] in {404, 503}:
            if time.monotonic() > deadline:
                raise SiteError(
                    "XNAT's query-retrieve plugin does not answer: is it among the image's plugins? It was waited "
                    f"for {self.wanted['wait_seconds']} s"
                )
            time.sleep(POLL_SECONDS)

    def set_up_users(self):
        """The guest is out; FLIP's user is there, with its password and rights."""
        if self.get("/xapi/users/guest").get("enabled"):
            self.change("the guest is shut out", "PUT", "/xapi/users/guest/enabled/false")
        user, password = self.wanted["user"], self.wanted["user_password"]
        path = f"/xapi/users/{quote(user, safe='')}"
        if user not in self.get("/xapi/users"):
            names = {"firstName": "FLIP", "lastName": "imaging-api", "email": f"{user}@localhost.localdomain"}
            body = {"username": user, "password": password, "enabled": True, "verified": True, **names}
            self.change(f"user {user}", "POST", "/xapi/users", body)
            if self.check_mode:
                return
        elif self.send("GET", "/data/projects?limit=1", account=(user, password))[0] == 401:
            body = {"username": user, "password": password, "enabled": True, "verified": True}
            self.change(f"password of {user}", "PUT", path, body)
        for name, wanted in (("roles", ROLES), ("groups", GROUPS)):
            if not set(wanted) <= set(self.get(f"{path}/{name}")):
                self.change(f"{name} of {user}", "PUT", f"{path}/{name}", wanted)

    def set_up_dqr(self):
        """The plugin's settings, of which all are text."""
        known = self.get("/xapi/dqr/settings")
        wanted = {key: _text(value) for key, value in self.wanted["dqr"].items()}
        differing = {key: value for key, value in wanted.items() if _text(known.get(key)) != value}
        if differing:
            self.change(f"plugin: {', '.join(sorted(differing))}", "POST", "/xapi/dqr/settings", differing)

    def set_up_entry(self, what, path, key, wanted):
        """One entry of a list, known again by one of its values."""
        found = [item for item in self.get(path) if item.get(key) == wanted[key]]
        if not found:
            self.change(what, "POST", path, wanted)
        elif any(found[0].get(name) != value for name, value in wanted.items()):
            self.change(what, "PUT", f"{path}/{found[0]['id']}", {**found[0], **wanted})

    def set_up_anonymization(self):
        """The script for all that comes in, and whether it is used."""
        script = self.wanted["anonymization"]
        status, text = self.send("GET", "/xapi/anonymize/site")
        if script and (status != 200 or text.strip() != script.strip()):
            self.change("anonymisation", "PUT", "/xapi/anonymize/site", script, kind="text/plain")
        if self.get("/xapi/anonymize/site/enabled") != bool(script):
            self.change("whether it is used", "PUT", "/xapi/anonymize/site/enabled", json.dumps(bool(script)))

    def set_up(self):
        """All of it, in an order in which each step finds what it needs. Returns what was changed, in words."""
        self.await_answer()
        self.sign_in()
        if self.set_up_site():
            self.await_plugin()
            self.set_up_users()
            self.set_up_dqr()
            self.set_up_entry("receiver", "/xapi/dicomscp", "port", self.wanted["receiver"])
            self.set_up_entry("PACS", "/xapi/pacs", "aeTitle", self.wanted["pacs"])
            self.set_up_anonymization()
        return self.changes


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """An XNAT that is not set up sends everyone to a page for people; that is no answer."""

    def redirect_request(self, *_):
        """Not followed."""


def _text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)
