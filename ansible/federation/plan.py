"""What stands where: sites, networks, addresses, names. The inventory `inventories/local` says the same (tested)."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".flip" / "federation"
INVENTORY = ROOT / "inventories" / "local"
LABEL = "flip.federation"
DOMAIN = "federation.test"
HUB_NAME, FL_NAME = f"hub.{DOMAIN}", f"fl.{DOMAIN}"
API_PORT, FL_PORT = 443, 9092
API_URL, FL_SERVER = f"https://{HUB_NAME}/api", f"{FL_NAME}:{FL_PORT}"
PROXY_PORT = 3128
PACS_AE, PACS_PORT = "HOSPITAL", 4242


@dataclass(frozen=True)
class Site:
    """One site: a network of its own with its host, its name server, its package mirror, its hospital's PACS."""

    name: str
    """Of the host in the inventory, and in names of networks and containers."""
    number: int
    """Third byte of the network's addresses."""
    trust: str = ""
    """Name of the trust; empty for the hub."""
    store: str = ""
    """Where the trust takes images of studies from."""
    staging_ae: str = ""
    """The AE title of its own that the PACS sends to."""
    staging_port: int = 0
    """Its DICOM port on the host."""
    airlocked: bool = False
    """Whether packages, images and all else come to it in signed bundles alone."""
    proxied: bool = False
    """Whether a proxy of the hospital's is the host's only way to the hub."""

    @property
    def network(self) -> str:
        """The Docker network."""
        return f"flip-federation-{self.name}"

    @property
    def subnet(self) -> str:
        """The network's addresses."""
        return self._address("0/24")

    @property
    def router(self) -> str:
        """The router's leg in this network."""
        return self._address("2")

    @property
    def host(self) -> str:
        """The host that the playbook provisions."""
        return self._address("10")

    @property
    def pacs(self) -> str:
        """The hospital's PACS; a hub has none."""
        return self._address("20")

    @property
    def proxy(self) -> str:
        """The hospital's proxy, where it has one."""
        return self._address("30")

    @property
    def proxy_name(self) -> str:
        """As the site's name server knows it."""
        return f"proxy.{self.name}.test"

    @property
    def dials_from(self) -> str:
        """The addresses that may begin connections to the hub."""
        return self.proxy if self.proxied else self.subnet

    @property
    def dns(self) -> str:
        """The site's name server."""
        return self._address("53")

    @property
    def packages(self) -> str:
        """The site's mirror of Debian packages."""
        return self._address("80")

    def container(self, part: str = "host") -> str:
        """Name of a container of this site."""
        return f"flip-federation-{self.name}-{part}"

    def _address(self, last: str) -> str:
        return f"10.77.{self.number}.{last}"


HUB = Site("hub", 0)
PREMISES = Site("premises", 1, "Trust_1", "xnat", "XNAT", 8104, proxied=True)
TRE = Site("tre", 2, "Trust_2", "orthanc", "FLIP_TRUST2", 11112, airlocked=True)
TRUSTS = (PREMISES, TRE)
SITES = (HUB, *TRUSTS)
ROUTER = "flip-federation-router"
