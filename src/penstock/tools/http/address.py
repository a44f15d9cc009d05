"""Which addresses a tool may reach: public ones, and what the platform's setting `tool_hosts` lists.

Asked for each socket when it is about to be connected, so that no name can mean another address a moment later.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Any

from penstock.errors import WrongUse

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# What Python counts as global, or may, and is not the public Internet: relays, translations, reserved for protocols.
_NOT_PUBLIC_V4 = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24")))
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_HOST = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class AddressRefused(OSError):
    """The address is none that a tool may reach."""

    def __init__(self) -> None:
        super().__init__("the address is not allowed")


def is_public(address: Address) -> bool:
    """Whether an address is one of the public Internet, and stands for nothing but itself."""
    if isinstance(address, ipaddress.IPv4Address):
        is_special = address.is_multicast or address.is_reserved or any(address in part for part in _NOT_PUBLIC_V4)
        return address.is_global and not is_special
    return address.is_global and address in _PUBLIC_V6 and not any(address in part for part in _NOT_PUBLIC_V6)


class ToolHosts:
    """The entries of `tool_hosts`: host:port (the name is trusted, whatever it resolves to) and networks (CIDR)."""

    def __init__(self, entries: Sequence[str]) -> None:
        self._hosts: set[tuple[str, int]] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for entry in entries:
            self._add(entry.strip())

    def lists(self, scheme: str, host: str, port: int | None) -> bool:
        """Whether an entry names this host and port (None = the scheme's own)."""
        return (host.lower(), port or _DEFAULT_PORTS[scheme]) in self._hosts

    def allows(self, address: Address) -> bool:
        """Whether an address is public or in a listed network."""
        return is_public(address) or any(address in network for network in self._networks)

    def socket(self, info: Any) -> socket.socket:
        """A socket for one resolved address (as of getaddrinfo); raises `AddressRefused`."""
        family, kind, protocol, _, place = info
        if not self.allows(ipaddress.ip_address(str(place[0]).partition("%")[0])):
            raise AddressRefused
        return socket.socket(family, kind, protocol)

    def _add(self, entry: str) -> None:
        found = _HOST.fullmatch(entry)
        try:
            if "/" in entry:
                self._networks.append(ipaddress.ip_network(entry))
            elif found is not None and 0 < int(found["port"]) < 65_536:
                self._hosts.add((found["host"].strip("[]").lower(), int(found["port"])))
            else:
                raise ValueError("it is neither host:port nor a network")
        except ValueError as error:
            raise WrongUse(
                f"{entry!r}: {error}", where="the setting tool_hosts", now="such as api.shop.internal:8443, 10.2.0.0/16"
            ) from None
