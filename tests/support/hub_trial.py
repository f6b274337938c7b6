"""The hub's stack from a laptop, with no account: as it is, by AWS's real provider, against the stand-in.

`plan` says what would be made. `apply` makes it, plans again (nothing may differ), fills the secrets, and destroys it.
What it proves, and what it does not, says docs/hub-aws.md.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aws_for_hub import environment, stand_in
from hub_verbs import EXAMPLES, FLIPCTL, trial_values


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="hub_trial.py", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("plan", "apply"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flip-hub-") as made, stand_in() as address:
        folder = Path(made)
        env = environment(address, folder)
        values = {"bootstrap": EXAMPLES / "bootstrap/example.tfvars", "hub": trial_values(folder, env)}

        def run(verb: str, *options: str, of: str = "hub") -> str:
            began = time.monotonic()
            command = [*FLIPCTL, "hub", verb, "stag", "--values", str(values[of]), "--folder", made, *options]
            done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                sys.stderr.write(done.stdout)
                raise SystemExit(done.returncode)
            print(f"flipctl hub {verb}: {time.monotonic() - began:.0f} s", flush=True)
            return done.stdout

        run("bootstrap", "--yes", of="bootstrap")
        if arguments.what == "plan":
            print(run("plan"))
            return 0
        run("apply", "--yes")
        again = run("plan")
        print(again)
        run("secrets")
        run("destroy", "--yes")
    return 0 if "nothing would change" in again else 1


if __name__ == "__main__":
    sys.exit(main())
