"""What leaves a site when an app fails: the exception's class name and the SHA-256 of its text, nothing else."""

import hashlib
import json
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any

from flip_fl.flower import internals

_CODE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_LEAVES = re.compile(r"FLIP: ([A-Za-z_][A-Za-z0-9_.-]{0,127}) ([0-9a-f]{64})")
APP_ERROR = "AppError"


class SiteError(Exception):
    """Stands for an exception of the app. Its text may leave the site."""


def outward(code: str, text: str) -> str:
    """What may be said outside of an error: a code, and a digest by which the site's log line is found."""
    safe = code if _CODE.fullmatch(code) else "Exception"
    return f"FLIP: {safe} {hashlib.sha256(text.encode()).hexdigest()}"


def parse_outward(reason: str) -> tuple[str, str] | None:
    """Code and digest from an error's reason, or None when the reason was not made by `outward`."""
    found = _LEAVES.search(reason)
    return (found[1], found[2]) if found else None


def guard(call: Callable[[], Any]) -> Any:
    """Runs `call`. What it raises is written to the site's log and becomes a `SiteError`.

    An error message that the app makes itself is an exception by another name, and is treated as one.

    Raises:
        SiteError: the app raised something, SystemExit included.
    """
    try:
        result = call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, its text must not pass
        leaves = outward(type(error).__name__, str(error))
        _write(f"the app raised an exception; outside it is known as {leaves!r}\n{traceback.format_exc()}")
        # Made outside of this handler: a context would carry the text on.
    else:
        _mask_error_reply(result)
        return result
    raise SiteError(leaves)


def note_metrics(message: Any, reply: Any) -> None:
    """Writes the metrics of a reply into the site's log: the site's own record of what left it.

    One line: `FLIP_METRICS {"task": "train", "round": 3, "metrics": {"loss": 0.5}}`; the round is 0 when the
    message names none.
    """
    if reply.has_error():
        return
    metrics = {key: value for record in reply.content.metric_records.values() for key, value in record.items()}
    rounds = [record["server-round"] for record in message.content.config_records.values() if "server-round" in record]
    noted = {"task": message.metadata.message_type, "round": rounds[0] if rounds else 0, "metrics": metrics}
    _write(f"FLIP_METRICS {json.dumps(noted)}\n")


def _mask_error_reply(reply: Any) -> None:
    has_error = getattr(reply, "has_error", None)
    if has_error is None or not has_error():
        return
    reason = str(reply.error.reason)
    leaves = outward(APP_ERROR, reason)
    _write(f"the app answered with an error; outside it is known as {leaves!r}\n{reason}\n")
    internals.set_error_reason(reply, leaves)


def _write(text: str) -> None:
    # The original stream: the app may have put another in its place.
    stream = sys.__stderr__
    if stream is not None:
        stream.write(text)
        stream.flush()
