"""Which addresses may be called: a subscriber's URL must not reach what only this site may reach.

A name can resolve to anything, and to something else a moment later. So the URL is checked when it
is entered, and every address again when a connection to it is about to be made.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import inet_aton
from urllib.parse import SplitResult, quote, urlsplit

import idna

from durian.errors import AddressRefused, ConfigurationError, InvalidURL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL = 2000
"""Characters that a URL may have."""

DEFAULT_PORTS = {"http": 80, "https": 443}

# The IANA registries of special-purpose addresses, those marked globally reachable included, since
# no receiver lives there; and the multicast blocks, which have registries of their own.
_REFUSED_V4 = {
    ip_network(network): kind
    for kind, networks in {
        "an unspecified": ["0.0.0.0/8"],
        "a private": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
        "a carrier's shared (CGNAT)": ["100.64.0.0/10"],
        "a loopback": ["127.0.0.0/8"],
        # Azure's is the one metadata service on an address that looks public.
        "a metadata service's": ["169.254.169.254/32", "168.63.129.16/32"],
        "a link-local": ["169.254.0.0/16"],
        "a documentation": ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"],
        "a benchmarking": ["198.18.0.0/15"],
        "a multicast": ["224.0.0.0/4"],
        "a broadcast": ["255.255.255.255/32"],
        "a reserved": [
            "192.0.0.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.175.48.0/24",
            "240.0.0.0/4",
        ],
    }.items()
    for network in networks
}

# Of IPv6 only 2000::/3 is in use, so that the rest needs no list to be refused; the blocks outside
# of it are here for a message that says what they are.
_REFUSED_V6 = {
    ip_network(network): kind
    for kind, networks in {
        "an unspecified": ["::/128"],
        "a loopback": ["::1/128"],
        "a metadata service's": ["fd00:ec2::254/128"],
        "a private": ["fc00::/7", "fec0::/10"],
        "a link-local": ["fe80::/10"],
        "a multicast": ["ff00::/8"],
        "a documentation": ["2001:db8::/32", "3fff::/20"],
        # Obsolete tunnels to IPv4: 6to4, Teredo, IPv4-compatible addresses. NAT64 of local use
        # hides the IPv4 address where only its operator knows.
        "a tunnelled": ["2002::/16", "2001::/32", "::/96", "64:ff9b:1::/48"],
        "a reserved": ["2001::/23", "2620:4f:8000::/48"],
    }.items()
    for network in networks
}
_IN_USE_V6 = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")

# What makes the interface's half of an IPv6 address an IPv4 one (ISATAP, RFC 5214).
_ISATAP = {0x00005EFE, 0x02005EFE}

_BRACKETED = re.compile(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\](?::[0-9]*)?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")

# Characters of a path or a query that stand for themselves; the others are percent-encoded.
_KEPT = "/?%:@!$&'()*+,;=[]~"


class Guard:
    """Refuses URLs and addresses that are not of the public internet, save those allowed.

    `allow_networks` (`"10.1.0.0/16"`) opens addresses, whatever name led to them, and
    `allow_hosts` (`"hooks.internal"`) opens hosts by their exact name, whatever they resolve to.
    Every port may be called unless `allow_ports` names those that may; that holds for allowed
    hosts too. ConfigurationError is raised for what is not a network or a host.
    """

    def __init__(
        self,
        allow_networks: Sequence[str] = (),
        allow_hosts: Sequence[str] = (),
        allow_ports: Sequence[int] = (),
    ) -> None:
        self._networks = [_allowed_network(network) for network in allow_networks]
        self._hosts = frozenset(_allowed_host(host) for host in allow_hosts)
        self._ports = frozenset(allow_ports)

    def check_url(self, url: str) -> SplitResult:
        """Return the parts of `url`, normalised: what is to be called in its place.

        The host is in lower case, its international letters in Punycode and an IPv4 address in
        any of its spellings as four numbers, so that no two readers of it can disagree; the
        fragment is gone. Raises InvalidURL for what can never be called and AddressRefused for
        an address, a port or a `localhost` that is not allowed. Names are not resolved.
        """
        parts, port = _split(url)
        host = _normal_host(parts.hostname or "")
        literal = "127.0.0.1" if _is_localhost(host) else host
        if _parsed(literal):
            self.check_address(literal, host, port)
        self._check_port(host, port)
        netloc = f"[{host}]" if ":" in host else host
        if port != DEFAULT_PORTS[parts.scheme]:
            netloc += f":{port}"
        path, query = quote(parts.path or "/", safe=_KEPT), quote(parts.query, safe=_KEPT)
        called = SplitResult(parts.scheme, netloc, path, query, "")
        # Letters that are not of ASCII become six characters or more.
        _check_length(called.geturl())
        return called

    def check_address(self, address: str, host: str, port: int) -> None:
        """Raise AddressRefused unless a connection to `address` may be made.

        `host` is the name that led to `address`, in the form that `check_url` gives it.
        """
        self._check_port(host, port)
        if host in self._hosts:
            return
        outer = _parsed(address)
        if outer is None:
            raise AddressRefused(f"{address!r} (of {host}) is not an IP address.")
        inner = _carried(outer)
        if any(outer in network or inner in network for network in self._networks):
            return
        if kind := _refusal(inner):
            raise AddressRefused(
                f"{address} (of {host}) is {kind} address and is not called. If it should be,"
                ' add its network to DURIAN["ALLOW_NETWORKS"] or its host to'
                ' DURIAN["ALLOW_HOSTS"].'
            )

    def _check_port(self, host: str, port: int) -> None:
        if self._ports and port not in self._ports:
            raise AddressRefused(f'Port {port} of {host} is not in DURIAN["ALLOW_PORTS"].')


def is_address(host: str) -> bool:
    """Say whether `host`, in the form that `check_url` gives it, is an address and not a name."""
    return _parsed(host) is not None


def _split(url: str) -> tuple[SplitResult, int]:
    """Return the parts and the port of `url`; raises InvalidURL, without a password in it."""
    _check_length(url)
    if " " in url or "\\" in url or not url.isprintable():
        raise InvalidURL("A URL may not hold blanks, backslashes or control characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # Its message quotes what it could not read, which may be a password.
        raise InvalidURL("The host or the port of the URL makes no sense.") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise InvalidURL("A URL has to begin with https:// or http://.")
    if "@" in parts.netloc:
        raise InvalidURL("A URL may not hold a user name or a password; requests are signed.")
    # urlsplit takes no notice of what stands before or after the brackets of an IPv6 address.
    bracketed = "[" in parts.netloc or "]" in parts.netloc
    if port == 0 or (bracketed and not _BRACKETED.fullmatch(parts.netloc)):
        raise InvalidURL("The host or the port of the URL makes no sense.")
    return parts, DEFAULT_PORTS[parts.scheme] if port is None else port


def _check_length(url: str) -> None:
    if len(url) > MAX_URL:
        raise InvalidURL(
            f"A URL may have {MAX_URL} characters at most, as it is called; this one has "
            f"{len(url)}."
        )


def _normal_host(host: str) -> str:
    """Return `host` in the one spelling that all its readers agree on; raises InvalidURL."""
    try:
        if ":" in host and "%" not in host:
            return str(IPv6Address(host))
        name = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()
        name = name.removesuffix(".")
        # What ends in a number is an address, in decimal, octal or hexadecimal, of one to four
        # parts: that is how the resolver reads it.
        if _NUMBER.fullmatch(name.rpartition(".")[2]):
            return str(IPv4Address(inet_aton(name)))
    except (OSError, ValueError) as error:
        raise InvalidURL(f"The host {host!r} makes no sense.") from error
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise InvalidURL(f"The host {host!r} makes no sense.")
    return name


def _is_localhost(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _parsed(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _carried(address: Address) -> Address:
    """Return the IPv4 address that `address` leads to (mapped, NAT64), or itself."""
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or address in _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _refusal(address: Address) -> str | None:
    """Return what kind of address it is that is not called, or None for a public one."""
    refused = _REFUSED_V4 if address.version == 4 else _REFUSED_V6
    for network, kind in refused.items():
        if address in network:
            return kind
    if address.version == 4:
        return None
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        return "a tunnelled"
    return None if address in _IN_USE_V6 else "a reserved"


def _allowed_network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ConfigurationError(f'DURIAN["ALLOW_NETWORKS"]: {error}') from error


def _allowed_host(text: str) -> str:
    try:
        return _normal_host(text)
    except InvalidURL as error:
        raise ConfigurationError(
            f'DURIAN["ALLOW_HOSTS"]: {text!r} is not a host; give its name alone.'
        ) from error
