import copy

import requests
from requests.structures import CaseInsensitiveDict

from deliverer.answer import MAX_ANSWER, MAX_HEADERS, MAX_STATUS_LINE, Answer

REQUEST = requests.Request("POST", "https://example.com/in", data=b"{}").prepare()


def received(*lines: bytes, body: bytes = b"") -> Answer:
    answer = Answer()
    for line in lines:
        answer.take_line(line + b"\r\n")
    if body:
        answer.take_body(body)
    return answer


def test_a_response_is_what_requests_would_make_of_it() -> None:
    answer = received(b"HTTP/1.1 503 Whatever", b"Retry-After: 7", b"X-Who:me", b"", body=b"sorry")
    response = answer.response(REQUEST, 503)
    assert (response.status_code, response.reason, response.text) == (
        503,
        "Service Unavailable",
        "sorry",
    )
    assert response.headers == {"retry-after": "7", "X-WHO": "me"}
    assert response.request is REQUEST
    assert response.url == "https://example.com/in"
    assert response.raw.read() == b"sorry"
    assert not response.ok


def test_the_headers_of_a_response_can_be_changed_and_kept() -> None:
    response = received(b"HTTP/1.1 200 OK", b"A: 1", b"").response(REQUEST, 200)
    response.headers["B"] = "2"
    assert response.headers == {"A": "1", "B": "2"}
    assert copy.copy(response).headers == {"A": "1", "B": "2"}
    response.headers = CaseInsensitiveDict({"C": "3"})
    assert response.headers == {"C": "3"}
    other = received(b"HTTP/1.1 200 OK", b"A: 1", b"").response(REQUEST, 200)
    other.headers = CaseInsensitiveDict()
    assert other.headers == {}


def test_the_last_status_line_counts() -> None:
    answer = received(b"HTTP/1.1 100 Continue", b"A: 1", b"", b"HTTP/1.1 200 OK", b"B: 2", b"")
    assert answer.response(REQUEST, 200).headers == {"B": "2"}
    assert answer.begun == "HTTP/1.1 200 OK"


def test_no_more_is_kept_than_is_allowed() -> None:
    answer = received(
        b"HTTP/1.1 200 " + b"x" * 1000, *[b"A%d: " % n + b"y" * 90 for n in range(1000)]
    )
    kept = answer.response(REQUEST, 200).headers
    assert 0 < sum(map(len, kept.values())) <= MAX_HEADERS
    assert len(answer.begun) == MAX_STATUS_LINE
    assert answer.take_body(b"z" * MAX_ANSWER) is None
    assert answer.full
    assert answer.take_body(b"z") == 0
    assert answer.response(REQUEST, 200).content == b"z" * MAX_ANSWER


def test_of_nothing_nothing_has_begun() -> None:
    assert Answer().begun == ""
    assert not Answer().full
