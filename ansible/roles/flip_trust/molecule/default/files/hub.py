"""As much of a hub as trust-api dials, over TLS; prints who called what with which key."""

import http.server
import json
import ssl

ANSWERS = {
    "/api/trust/heartbeat": {
        "trust_id": "0c7ad0c1-4f3c-4f3c-9f3c-0c7ad0c14f3c",
        "trust_name": "Trust_1",
        "hub_version": "0",
        "release": "0",
        "clock_skew_seconds": 0,
    },
    "/api/trust/tasks/lease": {"tasks": []},
    "/api/trust/fl-key": {},
}


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers with what is always the same."""

    def do_POST(self):
        """Takes a call."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(self.command, self.path, self.headers["X-Trust-Api-Key"], body.decode(), flush=True)
        answer = json.dumps(ANSWERS[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_PUT = do_POST  # noqa: N815 - the name that http.server looks for


server = http.server.ThreadingHTTPServer(("", 443), Hub)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/srv/hub.crt", "/srv/hub.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
