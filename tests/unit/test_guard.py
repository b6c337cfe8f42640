"""Nothing that only this site may reach is reached; what a self-hoster opens is."""

import ipaddress
import traceback
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durian.errors import AddressRefused, ConfigurationError, InvalidURL
from durian.guard import Guard

# IANA's registries of special-purpose addresses, multicast, and the metadata services of clouds.
SPECIAL_BLOCKS = [
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.0.0/29",
    "192.0.0.8/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.0.170/31",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "169.254.169.254/32",
    "168.63.129.16/32",
    "100.100.100.200/32",
    "192.0.0.192/32",
    "::/128",
    "::1/128",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "4000::/2",
    "5f00::/16",
    "fc00::/7",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "128.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2000::1",
    "2001:200::1",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "64:ff9b::8.8.8.8",  # NAT64, by which a machine without IPv4 reaches a public address
    "::ffff:8.8.8.8",
]
# Every way to write an IPv4 address into an IPv6 one.
CARRIERS = {
    "mapped": lambda v4: 0xFFFF << 32 | v4,
    "translated": lambda v4: 0xFFFF0000 << 32 | v4,
    "compatible": lambda v4: v4,
    "nat64": lambda v4: 0x64FF9B << 96 | v4,
    "nat64 of local use": lambda v4: 0x64FF9B0001 << 80 | v4,
    "6to4": lambda v4: 0x2002 << 112 | v4 << 80 | 1,
    "teredo server": lambda v4: 0x20010000 << 96 | v4 << 64,
    "teredo client": lambda v4: 0x20010000 << 96 | v4 ^ 0xFFFFFFFF,
    "isatap": lambda v4: 0x26064700 << 96 | 0x5EFE << 32 | v4,
    "isatap, global": lambda v4: 0x26064700 << 96 | 0x02005EFE << 32 | v4,
}


def is_refused(address: str, guard: Guard | None = None, host: str = "receiver.example") -> bool:
    try:
        (guard or Guard()).check_address(address, host, 443)
    except AddressRefused:
        return True
    return False


@pytest.mark.parametrize("block", SPECIAL_BLOCKS)
def test_every_special_block_is_refused_from_end_to_end(block: str) -> None:
    network = ipaddress.ip_network(block)
    middle = network[network.num_addresses // 2]
    for address in (network[0], middle, network[-1]):
        assert is_refused(str(address)), address


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address: str) -> None:
    assert not is_refused(address)


@given(st.ip_addresses())
def test_what_python_knows_to_be_special_is_refused(address: IPv4Address | IPv6Address) -> None:
    carriers = [ipaddress.ip_network(each) for each in ("::ffff:0:0/96", "64:ff9b::/96")]
    if any(address in carrier for carrier in carriers):
        return  # what they carry decides, which is tested below
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert is_refused(str(address))


@pytest.mark.parametrize("carrier", CARRIERS)
@given(data=st.data())
def test_no_ipv6_address_smuggles_a_refused_ipv4_one(carrier: str, data: st.DataObject) -> None:
    block = data.draw(st.sampled_from([each for each in SPECIAL_BLOCKS if ":" not in each]))
    address = data.draw(st.ip_addresses(network=block))
    assert is_refused(str(IPv6Address(CARRIERS[carrier](int(address)))))


@pytest.mark.parametrize("address", ["", "receiver.example", "1.2.3", "0x7f000001", "8.8.8.8 "])
def test_what_is_no_address_is_refused(address: str) -> None:
    assert is_refused(address)


def test_a_refusal_names_the_address_the_host_and_the_remedy() -> None:
    with pytest.raises(AddressRefused) as caught:
        Guard().check_address("10.1.2.3", "receiver.example", 443)
    for word in (
        "10.1.2.3",
        "receiver.example",
        "private",
        'DURIAN["ALLOW_NETWORKS"]',
        'DURIAN["ALLOW_HOSTS"]',
    ):
        assert word in str(caught.value)


def test_allowed_networks_are_called_and_their_neighbours_are_not() -> None:
    guard = Guard(allow_networks=["10.1.0.0/16", "fd00:1::/32"])
    for address in (
        "10.1.0.0",
        "10.1.255.255",
        "::ffff:10.1.2.3",
        "64:ff9b::10.1.2.3",
        "fd00:1::9",
    ):
        assert not is_refused(address, guard), address
    for address in ("10.0.255.255", "10.2.0.0", "::ffff:10.2.0.0", "fd00:2::9", "2002:a01:203::"):
        assert is_refused(address, guard), address


def test_allowed_hosts_are_called_wherever_they_are_and_no_others() -> None:
    guard = Guard(allow_hosts=["Hooks.Internal."])
    assert not is_refused("10.1.2.3", guard, host="hooks.internal")
    assert guard.check_url("http://HOOKS.internal/").hostname == "hooks.internal"
    for host in ("evil-hooks.internal", "a.hooks.internal", "internal", "hooks.internal.example"):
        assert is_refused("10.1.2.3", guard, host=host)


def test_an_allowed_host_may_be_an_address() -> None:
    guard = Guard(allow_hosts=["127.0.0.1", "::1"])
    assert guard.check_url("http://0x7f.1:8000/").netloc == "127.0.0.1:8000"
    assert guard.check_url("http://[0:0::1]/").netloc == "[::1]"
    with pytest.raises(AddressRefused):
        guard.check_url("http://127.0.0.2/")


def test_every_port_may_be_called_unless_some_are_named() -> None:
    assert Guard().check_url("https://receiver.example:2525/").port == 2525
    guard = Guard(allow_ports=[443], allow_hosts=["hooks.internal"])
    guard.check_url("https://receiver.example/")
    guard.check_address("8.8.8.8", "receiver.example", 443)
    for url in ("https://receiver.example:444/", "http://receiver.example/", "http://8.8.8.8/"):
        with pytest.raises(AddressRefused, match=r'DURIAN\["ALLOW_PORTS"\]'):
            guard.check_url(url)
    with pytest.raises(AddressRefused, match="25"):
        guard.check_address("10.0.0.1", "hooks.internal", 25)


@pytest.mark.parametrize("network", ["10.0.0.1/8", "internal", "10.0.0.0/33", ""])
def test_a_wrong_network_is_named(network: str) -> None:
    with pytest.raises(ConfigurationError, match="ALLOW_NETWORKS") as caught:
        Guard(allow_networks=[network])
    assert network in str(caught.value)


@pytest.mark.parametrize("host", ["http://internal", "internal:8000", "a b", "*.internal", ""])
def test_a_wrong_host_is_named(host: str) -> None:
    with pytest.raises(ConfigurationError, match="ALLOW_HOSTS") as caught:
        Guard(allow_hosts=[host])
    assert host in str(caught.value)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://receiver.example", "http://receiver.example/"),
        ("HTTPS://Receiver.Example.:443/Hook?A=b", "https://receiver.example/Hook?A=b"),
        ("http://receiver.example:443/", "http://receiver.example:443/"),
        ("https://receiver.example:/x#fragment", "https://receiver.example/x"),
        ("http://receiver_1/", "http://receiver_1/"),
        ("https://bücher.example/ü?ü=1", "https://xn--bcher-kva.example/%C3%BC?%C3%BC=1"),
        (
            "https://\uff32\uff25\uff23\uff25\uff29\uff36\uff25\uff32。example/",
            "https://receiver.example/",
        ),
        ("https://receiver.example/a%20b?c[]=%2F", "https://receiver.example/a%20b?c[]=%2F"),
        ("http://134744072/", "http://8.8.8.8/"),
        ("http://0x8.010.2056/", "http://8.8.8.8/"),
        ("http://[2606:4700:0:0::1111]:8080/", "http://[2606:4700::1111]:8080/"),
    ],
)
def test_a_url_is_brought_into_one_spelling(url: str, normal: str) -> None:
    assert Guard().check_url(url).geturl() == normal


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7F.1",
        "0177.0.0.1",
        "127.1",
        "0",
        "\uff11\uff12\uff17.0.0.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "127\uff0e0\uff0e0\uff611",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0000::0001]",
        "[64:ff9b::a9fe:a9fe]",
        "169.254.169.254",
        "0xa9fea9fe",
        "10.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "receiver.localhost",
        "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",
    ],
)
def test_a_hidden_local_address_is_refused_before_it_is_resolved(host: str) -> None:
    with pytest.raises(AddressRefused):
        Guard().check_url(f"http://{host}:8000/")


def test_localhost_is_open_where_loopback_is() -> None:
    guard = Guard(allow_networks=["127.0.0.0/8"])
    assert guard.check_url("http://localhost:8000/").netloc == "localhost:8000"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "receiver.example",
        "//receiver.example/",
        "ftp://receiver.example/",
        "file:///etc/passwd",
        "gopher://receiver.example/",
        "javascript:alert(1)",
        "http:///path",
        "http://?query",
        "http://:80/",
        "http://receiver.example:0/",
        "http://receiver.example:65536/",
        "http://receiver.example:-1/",
        "http://receiver.example:port/",
        "http://receiver.example:80:80/",
        "http://user@receiver.example/",
        "http://user:hunter2@receiver.example/",
        "http://hunter2:@receiver.example:x/",
        "http://joe:hunter2/",
        "http://@receiver.example/",
        "http://receiver.example\\@127.0.0.1/",
        "http://receiver.example /",
        " http://receiver.example/",
        "http://receiver.example/\r\nX-Header: 1",
        "http://receiver.example/\x00",
        "http://receiver.example/\x7f",
        "http://rece\tiver.example/",
        "http://rece\u200biver.example/",
        "http://rece\u00adiver.example/",
        "http://127.0.0.\u00ad1/",
        "http://%31%32%37.0.0.1/",
        "http://receiver.example%00/",
        "http://127.0.0.1%2f@receiver.example/",
        "http://[::1/",
        "http://::1/",
        "http://[::1]x/",
        "http://x[2606:4700::1]/",
        "http://[2606:4700::1]]/",
        "http://[fe80::1%eth0]/",
        "http://[fe80::1%25eth0]/",
        "http://[8.8.8.8]/",
        "http://[receiver.example]/",
        "http://[v1.x]/",
        "http://[2606:4700::12345]/",
        "http://256.1.1.1/",
        "http://1.2.3.4.5/",
        "http://08.8.8.8/",
        "http://receiver.123/",
        "http://receiver.0x/",
        "http://receiver..example/",
        "http://.receiver.example/",
        "http://receiver.example../",
        "http://-receiver.example/",
        "http://receiver-.example/",
        "http://rece!ver.example/",
        "http://☃.example/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 127 + "example/",
        "http://receiver.example/" + "a" * 1977,
    ],
)
def test_a_url_that_can_never_be_called_is_invalid_and_no_password_is_repeated(url: str) -> None:
    with pytest.raises(InvalidURL) as caught:
        Guard().check_url(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_url_is_measured_as_it_is_called() -> None:
    with pytest.raises(InvalidURL, match="2000 characters at most, as it is called"):
        Guard().check_url("https://receiver.example/" + "界" * 300)


def test_the_longest_url_is_accepted() -> None:
    url = "http://receiver.example/" + "a" * 1976
    assert Guard().check_url(url).geturl() == url


@given(st.text() | st.text().map("http://{}".format) | st.from_regex(r"https?://[^/]+/.*"))
def test_any_text_is_a_url_or_refused_and_normalising_twice_changes_nothing(text: str) -> None:
    try:
        normal = Guard().check_url(text).geturl()
    except (InvalidURL, AddressRefused):
        return
    assert normal.isascii()
    assert Guard().check_url(normal).geturl() == normal
