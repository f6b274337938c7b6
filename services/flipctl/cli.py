"""The command line: one verb a job; `--help` of each shows an example."""

import typer

from flipctl import airlock, app_check, doctor, images, keys, sign_in, trust
from flipctl.data import cli as data
from flipctl.demo import cli as demo
from flipctl.dev import cli as dev
from flipctl.hub import cli as hub
from flipctl.kit import cli as kit
from flipctl.status import cli as status

app = typer.Typer(
    name="flipctl",
    help="FLIP from the command line: run a federation, onboard trusts, make keys, check apps, find faults.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
)
app.add_typer(trust.app, name="trust")
app.add_typer(kit.app, name="kit")
app.add_typer(keys.app, name="keys")
app.add_typer(app_check.app, name="app")
app.add_typer(data.app, name="data")
app.add_typer(images.app, name="images")
app.add_typer(airlock.app, name="airlock")
app.add_typer(dev.app, name="dev")
app.add_typer(hub.app, name="hub")
app.command("sign-in", epilog=sign_in.EXAMPLE)(sign_in.sign_in_verb)
app.command("demo", epilog=demo.EXAMPLE)(demo.demo)
app.command("doctor", epilog=doctor.EXAMPLE)(doctor.doctor)
app.command("status", epilog=status.EXAMPLE)(status.status)


def main() -> None:
    """Entry point of `flipctl`."""
    app()
