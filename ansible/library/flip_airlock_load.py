#!/usr/bin/python3
"""Takes a bundle in with the program that it brings itself, once it is known whose that is."""

import hashlib
import json
import os
import sys
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flip_airlock_load
short_description: Loads a bundle at a site
description: >-
  The program that loads it is part of the bundle, so the signature and the program's digest are checked here before it
  runs. Returns what the program says, as C(loaded). In check mode nothing is loaded; changed where the bundle is not
  the one that counts.
options:
  bundle: {description: Folder of the bundle's files., type: path, required: true}
  images: {description: Whether its images go to Docker., type: bool, required: true}
  allow_rollback: {description: A release that may be older than what was here., type: str, default: ""}
  site_folder: {description: Where the site keeps what was loaded., type: path, default: /opt/flip/airlock}
author: FLIP
"""

PROGRAM, SUMS, NAMESPACE = "flip-airlock.pyz", "SHA256SUMS", "flip-airlock"


def main():
    """Check, run."""
    module = AnsibleModule(
        argument_spec={
            "bundle": {"type": "path", "required": True},
            "images": {"type": "bool", "required": True},
            "allow_rollback": {"type": "str", "default": ""},
            "site_folder": {"type": "path", "default": "/opt/flip/airlock"},
        },
        supports_check_mode=True,
    )
    bundle, site = Path(module.params["bundle"]), Path(module.params["site_folder"])
    for name in (PROGRAM, SUMS, f"{SUMS}.sig"):
        if not (bundle / name).is_file():
            module.fail_json(msg=f"{bundle / name} is not there: flip_airlock_dir has to be the folder of a bundle")
    sums, counts = (bundle / SUMS).read_bytes(), site / "current" / SUMS
    if not (module.check_mode and not (site / "trust").is_dir()):  # a bare host does not know yet whom to trust
        signed(module, sums, bundle / f"{SUMS}.sig", site / "trust")
    if module.check_mode:
        module.exit_json(changed=not counts.is_file() or counts.read_bytes() != sums)
    program = (bundle / PROGRAM).read_bytes()
    if f"{hashlib.sha256(program).hexdigest()}  {PROGRAM}".encode() not in sums.splitlines():
        module.fail_json(msg=f"{bundle / PROGRAM} is not as it was signed; bring it again")
    before = os.path.realpath(site / "current")
    private = Path(module.tmpdir) / PROGRAM
    private.write_bytes(program)
    command = [sys.executable, "-I", str(private), "load", str(bundle), "--site-folder", str(site), "--json"]
    command += [] if module.params["images"] else ["--files-only"]
    command += ["--allow-rollback", module.params["allow_rollback"]] if module.params["allow_rollback"] else []
    status, out, error = module.run_command(command)
    if status:
        module.fail_json(msg=f"{bundle} was not loaded: {error.strip().splitlines()[-1] if error.strip() else out}")
    loaded = json.loads(out)
    changed = bool(loaded["blobs"] or loaded["images"]) or os.path.realpath(site / "current") != before
    module.exit_json(changed=changed, loaded=loaded)


def signed(module, sums, signature, trust):
    """Ends the module where nobody that the site trusts signed. The program asks again, but who vouches for that?"""
    signers, revoked = trust / "allowed_signers", trust / "revoked_keys"
    if not module.get_bin_path("ssh-keygen"):
        module.fail_json(
            msg="ssh-keygen is not on this host, which signatures are checked with: install openssh-client"
        )
    given, fed = ["-s", str(signature), "-f", str(signers)], {"data": sums, "binary_data": True}
    status, out, error = module.run_command(["ssh-keygen", "-Y", "find-principals", *given], **fed)
    if not status:
        given += ["-n", NAMESPACE, "-I", out.splitlines()[0].split(",")[0]]
        given += ["-r", str(revoked)] if os.path.lexists(revoked) else []
        status, out, error = module.run_command(["ssh-keygen", "-Y", "verify", *given], **fed)
    if status:
        said, revoked_too = (error or out).strip(), f", or of a key in {revoked}" if os.path.lexists(revoked) else ""
        module.fail_json(
            msg=f"{signature} is of nobody that {signers} trusts{revoked_too}: {said}; nothing of the bundle was used"
        )


if __name__ == "__main__":
    main()
