"""Compares the hub's endpoints in an opened kit with those that the inventory names. Standard library only."""

from urllib.parse import urlsplit

HTTPS = 443


def api(url):
    """What makes an API's address: scheme, host, port and path, however it is spelt."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or HTTPS, parts.path.rstrip("/")


# Where the kit says it, what it is called there, the inventory's variable, and what makes two spellings the same.
ENDPOINTS = {
    "hub_url": ("trust.env", "CENTRAL_HUB_API_URL", "the hub's API", "flip_preflight_hub_url", api),
    "fl_server": ("fl-site.env", "FL_SERVER_ADDRESS", "the FL server", "flip_preflight_fl_server", str.lower),
}


def differences(folder, wanted):
    """One sentence for each endpoint of the kit in `folder` that is another one than the inventory's.

    `wanted`: `hub_url` and `fl_server` as the inventory has them; what is empty is not compared.
    """
    found = []
    for key, (file, name, what, variable, same) in ENDPOINTS.items():
        lines = (folder / file).read_text(encoding="utf-8").splitlines()
        value = next(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))
        if wanted[key] and same(wanted[key]) != same(value):
            found.append(f"{what} is {wanted[key]} in the inventory ({variable}), but {value} in the kit")
    return found
