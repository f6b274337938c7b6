"""Makes the scenario's keys and kits with the hub's own code: kits.py FOLDER, in a container of flip/trust-api."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from flip_common.keys import PayloadKey, generate_api_key
from flip_fl.certs import make_net_certificates
from flipctl.kit import issue
from flipctl.kit.keys import make_key, recipient, signing_key

FOLDER = Path(sys.argv[1])
TRUST_ID, OTHER_ID = str(uuid4()), str(uuid4())
PASSPHRASE = "a passphrase of the kit's"


class LastYear(datetime):
    """A clock that is 400 days late: what it stamps has expired."""

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) - timedelta(days=400)


def kit(name, serial, trust="Trust_1", to=None, clock=datetime):
    """Writes one kit file."""
    answer = {
        "trust_id": TRUST_ID if trust == "Trust_1" else OTHER_ID,
        "trust_name": trust,
        "key_id": str(uuid4()),
        "api_key": generate_api_key(),
        "api_key_header": "X-Trust-Api-Key",
        "aes_key_base64": PayloadKey.generate().to_base64(),
    }
    order = issue.Order(
        trust_name=trust,
        hub="https://hub.example.org/api",
        fl_server="fl.example.org:9092",
        fl_ca=CA,
        hub_ca=CA if serial > 1 else None,
        days=30,
        to=to or [recipient(str(FOLDER / "site.pub"))],
        signing_key=signing_key(FOLDER / "signing", str),
    )
    issue.datetime = clock
    _, content = issue.make(order, answer, serial)
    issue.datetime = datetime
    (FOLDER / f"{name}.flipkit").write_bytes(content)
    return content


(FOLDER / "signed_by").write_text(make_key(FOLDER / "signing"))
make_key(FOLDER / "site")
make_key(FOLDER / "stranger")
CA = issue.read_certificates(make_net_certificates(FOLDER / "certificates").ca, datetime.now(UTC))
first = kit("first", 1)
kit("second", 2)
kit("passphrase", 3, to=PASSPHRASE)
kit("expired", 9, clock=LastYear)
kit("other", 9, trust="Trust_2")
(FOLDER / "altered.flipkit").write_bytes(first.replace(b'"serial":1', b'"serial":9'))
(FOLDER / "cut.flipkit").write_bytes(first[:-40])
