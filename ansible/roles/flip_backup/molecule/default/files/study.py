"""Makes a study in the staging PACS whose container this runs in; the password comes by standard input."""

import base64
import json
import sys
import urllib.request

word = base64.b64encode(f"flip:{sys.stdin.read().strip()}".encode()).decode()
tags = {"Tags": {"PatientID": "7", "AccessionNumber": "A7", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}}
request = urllib.request.Request(
    "http://127.0.0.1:8042/tools/create-dicom", json.dumps(tags).encode(), {"Authorization": f"Basic {word}"}
)
print(urllib.request.urlopen(request, timeout=20).status)
