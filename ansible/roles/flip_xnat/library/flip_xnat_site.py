#!/usr/bin/python3
"""Sets XNAT up through its REST API: what is as wanted is left alone."""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flip_xnat_rest import Site, SiteAwayError, SiteError

DOCUMENTATION = r"""
module: flip_xnat_site
short_description: Sets XNAT up through its REST API, and says what it had to change
description: >-
  Changes the administrator's first password, shuts the guest out, makes FLIP's user, and sets the site, the
  query-retrieve plugin, its receiver, the PACS and the anonymisation. Returns C(changes), which name no value.
options:
  url: {description: Where XNAT answers., type: str, required: true}
  admin_password: {description: Password that admin is to have., type: str, required: true}
  user: {description: FLIP's user there., type: str, required: true}
  user_password: {description: Password of that user., type: str, required: true}
  site: {description: Settings of the site., type: dict, required: true}
  dqr: {description: Settings of the query-retrieve plugin., type: dict, required: true}
  receiver: {description: The DICOM receiver; known again by its port., type: dict, required: true}
  pacs: {description: The PACS; known again by its AE title., type: dict, required: true}
  anonymization: {description: DicomEdit script; empty for none., type: str, required: true}
  wait_seconds: {description: How long the plugin may take until it answers (s)., type: int, required: true}
author: FLIP
"""


def main():
    """Look at everything, change what differs."""
    text = {"type": "str", "required": True}
    secret = {**text, "no_log": True}
    table = {"type": "dict", "required": True}
    module = AnsibleModule(
        argument_spec={
            "url": text,
            "admin_password": secret,
            "user": text,
            "user_password": secret,
            "site": table,
            "dqr": table,
            "receiver": table,
            "pacs": table,
            "anonymization": text,
            "wait_seconds": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        changes = Site(module.params, check_mode=module.check_mode).set_up()
    except SiteAwayError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        changes = ["everything: XNAT does not run yet"]
    except SiteError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
