"""Key files, pairs and their replacement."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from proxy.relay.settings import ListenTLS
from proxy.relay.tls import Replaceable, TLSError, check_key_file
from proxy.relay.tls_listen import shown
from tests.kit.certificates import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    key = tmp_path / "key"
    key.touch()
    key.chmod(mode)
    with pytest.raises(TLSError, match="group or world access"):
        check_key_file(str(key))
    key.chmod(0o600)
    check_key_file(str(key))


def test_a_key_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(TLSError, match="No such file"):
        check_key_file(str(tmp_path / "missing"))
    with pytest.raises(TLSError, match="no regular file"):
        check_key_file(str(tmp_path))


def listen(pair: Pair, **more: object) -> ListenTLS:
    return ListenTLS(str(pair.certificate), str(pair.key), **more)  # type: ignore[arg-type]


def test_the_certificate_that_is_shown_is_the_files_first(authority: Authority) -> None:
    pair = authority.issue("server")
    first = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
    with pair.certificate.open("a") as file:
        file.write(authority.certificate.read_text())
    assert shown(listen(pair)).certificate == first


def test_what_cannot_be_shown(authority: Authority, tmp_path: Path) -> None:
    pair, other = authority.issue("server"), authority.issue("other")
    with pytest.raises(TLSError, match="do not belong together"):
        shown(ListenTLS(str(pair.certificate), str(other.key)))
    with pytest.raises(TLSError, match="not there"):
        shown(ListenTLS(str(tmp_path / "missing"), str(pair.key)))
    with pytest.raises(TLSError, match="knows no cipher"):
        shown(listen(pair, ciphers="ROT13"))
    with pytest.raises(TLSError, match="no version of TLS"):
        shown(listen(pair, minimum="SSLv3"))
    with pytest.raises(TLSError, match="No such file"):
        shown(listen(pair, client_ca=str(tmp_path / "missing"), client_certificates="require"))
    pair.certificate.write_text("nonsense")
    with pytest.raises(TLSError, match="cannot be used"):
        shown(listen(pair))


def test_files_that_changed_are_read_when_they_rest(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one")

    def make() -> str:
        if (text := file.read_text()) == "bad":
            raise TLSError("bad")
        return text

    made = Replaceable(make, [str(file)], "the files")
    assert not made.look()
    file.write_text("second")
    assert not made.look()
    assert made.current == "one"
    assert made.look()
    assert made.current == "second"
    file.write_text("bad")
    assert not made.look()
    assert not made.look()
    assert made.current == "second"
    file.write_text("good again")
    assert made.look(at_once=True)
    assert made.current == "good again"
    assert not made.look()


def test_a_file_that_was_bad_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "file"
    file.touch()
    good = [True]

    def make() -> int:
        if not good[0]:
            raise TLSError("what is wrong with it")
        return 1

    made = Replaceable(make, [str(file)], "the files")
    good[0] = False
    file.write_text("changed")
    for _ in range(5):
        made.look()
    assert caplog.text.count("what is wrong with it") == 1
