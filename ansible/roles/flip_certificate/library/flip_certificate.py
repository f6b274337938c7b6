#!/usr/bin/python3
"""Gives a server of this host its certificate."""

import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flip_authority import Authority, CertificateError, Own

DOCUMENTATION = r"""
module: flip_certificate
short_description: A server's certificate, of this host's own authority or brought by the operator
description: >-
  Makes the authority once, and a certificate where there is none that will do. Says in C(reason) why something was
  made, and in C(there) whether the files can be read, which after a dry run they may not be.
options:
  folder: {description: Folder of the authority., type: path, required: true}
  server: {description: The server; also the name of its files., type: str, required: true}
  names: {description: Host names and addresses that clients dial., type: list, elements: str, required: true}
  authority: {description: Common name of the authority., type: str, required: true}
  authority_days: {description: Days an authority is good for., type: int, required: true}
  days: {description: Days a certificate is good for., type: int, required: true}
  renew_days: {description: Days before its end from which on it is renewed., type: int, required: true}
  own_certificate: {description: The operator's certificate chain (PEM), or nothing., type: str, default: ''}
  own_key: {description: Its key (PEM)., type: str, default: ''}
author: FLIP
"""


def run(module):
    """What the module returns.

    Raises:
        CertificateError: no certificate can be had.
    """
    want, dry = module.params, module.check_mode
    folder = Path(want["folder"])
    if dry and not (shutil.which("openssl") and folder.is_dir()):
        return {"changed": True, "there": False, "reason": "nothing is there yet"}
    reasons = []
    if not folder.is_dir() or folder.stat().st_mode & 0o777 != 0o700:
        reasons.append("the folder was open")
        if not dry:
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
    authority = Authority(folder)
    if authority.missing():
        reasons.append("there was no authority")
        if not dry:
            authority.make(want["authority"], want["authority_days"])
    own = Own(want["own_certificate"], want["own_key"]) if want["own_certificate"] else None
    if own:
        own.check(want["names"])
    reason = authority.unfit(want["server"], want["names"], want["renew_days"], own)
    if reason:
        reasons.append(reason)
        if not dry:
            authority.provide(want["server"], want["names"], want["days"], own)
    return {"changed": bool(reasons), "there": not (dry and reasons), "reason": "; ".join(reasons)}


def main():
    """Makes what is missing; says what is wrong."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "server": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "authority": {"type": "str", "required": True},
            "authority_days": {"type": "int", "required": True},
            "days": {"type": "int", "required": True},
            "renew_days": {"type": "int", "required": True},
            "own_certificate": {"type": "str", "default": ""},
            "own_key": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except CertificateError as error:
        module.fail_json(msg=f"{module.params['server']}: {error}")


if __name__ == "__main__":
    main()
