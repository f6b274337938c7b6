"""What must not be in an archive that leaves a host: secrets the host knows, and whatever looks like one."""

import re

REDACTED = "[redacted]"
SECRET_NAME = re.compile(r"(?i)(key|secret|password|passwd|token|passphrase|credential)")
# What is no secret although its name sounds so.
HARMLESS_NAME = re.compile(r"(?i)(_header|_file|_url_path|key_id)$")
IN_URL = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://[^:/@\s]*):(?P<password>[^@/\s]+)@")
API_KEY = re.compile(r"flip_[A-Za-z0-9_-]{20,}")
BEARER = re.compile(r"(?i)(bearer|basic)\s+[A-Za-z0-9._~+/=-]{16,}")
PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
MIN_CHARS = 8  # shorter ones would be found in ordinary words


def is_secret_name(name):
    """Whether a variable of this name holds a secret."""
    return bool(SECRET_NAME.search(name)) and not HARMLESS_NAME.search(name)


def secrets_in(env_text):
    """Values of an env file that are secrets: by their name, and passwords in URLs."""
    found = set()
    for line in env_text.splitlines():
        name, equals, value = line.strip().partition("=")
        value = value.strip().strip("'\"")
        if not equals or name.startswith("#"):
            continue
        if is_secret_name(name):
            found.add(value)
        found.update(match["password"] for match in IN_URL.finditer(value))
    return {value for value in found if len(value) >= MIN_CHARS}


def redact(text, secrets):
    """The text without these secrets, and without what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):  # a secret may be part of another
        text = text.replace(secret, REDACTED)
    text = PEM.sub(REDACTED, text)
    text = IN_URL.sub(rf"\g<scheme>:{REDACTED}@", text)
    text = API_KEY.sub(REDACTED, text)
    return BEARER.sub(rf"\1 {REDACTED}", text)


def redact_mapping(value):
    """A structure (from YAML or JSON) in which an environment has its names left and nothing else."""
    if isinstance(value, list):
        return [redact_mapping(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for key, item in value.items():
        if str(key).lower() in ("environment", "env", "env_file"):
            made[key] = _names(item)
        elif is_secret_name(str(key)) and isinstance(item, str):
            made[key] = REDACTED
        else:
            made[key] = redact_mapping(item)
    return made


def _names(environment):
    entries = environment if isinstance(environment, list) else list(environment or {})
    return [str(entry).partition("=")[0] for entry in entries]
