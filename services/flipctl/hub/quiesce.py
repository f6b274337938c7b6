"""`flipctl hub quiesce`: lets no job start at a hub, and waits until those that run have ended."""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import httpx
import typer

from flipctl.api import Api, ApiError, HubCaFile
from flipctl.images_run import progress
from flipctl.output import JsonFlag, console, fail, print_json
from flipctl.sign_in import HUB_ERRORS, HubUrl, sign_in, told
from flipctl.trust import Email

PATH = "/jobs/quiesce"
POLL_SECONDS = 2.0


class Turn(StrEnum):
    """What to do with the switch."""

    ON = "on"
    OFF = "off"
    STATUS = "status"


def quiesce(
    turn: Annotated[Turn, typer.Argument(help="on: no job starts; off: jobs that waited start; status: only look.")],
    hub: HubUrl,
    email: Email,
    reason: Annotated[str, typer.Option(help="Why, for those who have to wait.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Until no job runs any more.")] = False,
    minutes: Annotated[float, typer.Option(min=0, help="How long --wait waits before it gives up.")] = 60,
    ca: HubCaFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Let no job start, before an upgrade; running ones go on, new ones wait until it is off. For administrators.

    Signs in by FLIP_TOKEN (see flipctl sign-in) or FLIP_PASSWORD, or asks.
    """
    if wait and turn is Turn.OFF:
        fail("--wait goes with on and status: with off jobs start", 2)
    if reason and turn is not Turn.ON:
        fail("--reason goes with on", 2)
    try:
        with sign_in(hub, email, ca) as api:
            state = api.get(PATH) if turn is Turn.STATUS else api.put(PATH, {"on": turn is Turn.ON, "reason": reason})
            if wait:
                with progress("waiting for running jobs") as say:
                    state = _drained(api, state, minutes * 60, say)
    except HUB_ERRORS as error:
        fail(told(error, hub))
    if as_json:
        print_json(state)
    else:
        console.print(_text(state), soft_wrap=True, markup=False)
    if wait and not state["drained"]:
        fail(f"{state['running']} jobs still run after {minutes:g} minutes; wait again, or stop them")


def _drained(api: Api, state: dict[str, Any], seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """The state once nothing runs, or when the time is over.

    Raises:
        ApiError: the switch is off, so jobs start as ever.
    """
    end = time.monotonic() + seconds
    while not state["drained"]:
        if not state["on"]:
            raise ApiError("the hub is not quiesced, so there is no end to wait for; run: flipctl hub quiesce on")
        if time.monotonic() >= end:
            break
        say(f"{state['running']} jobs run, {state['waiting']} wait")
        time.sleep(min(POLL_SECONDS, max(0.0, end - time.monotonic())))
        try:
            state = api.get(PATH)
        except httpx.TransportError as error:  # a hub that restarts is waited for, too
            say(f"the hub does not answer ({type(error).__name__})")
    return state


def _text(state: dict[str, Any]) -> str:
    counts = f"{state['running']} jobs run, {state['waiting']} wait"
    if not state["on"]:
        return f"jobs start; {counts}"
    why = f" ({state['reason']})" if state["reason"] else ""
    drained = "; drained" if state["drained"] else ""
    return f"no job starts, since {state['since']}, by {state['by']}{why}; {counts}{drained}"
