"""The certificate of ``--tls auto``."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509

from tui.up import self_signed as module
from tui.up.errors import UpError
from tui.up.self_signed import self_signed


def covered(certificate: str) -> x509.SubjectAlternativeName:
    made = x509.load_pem_x509_certificate(Path(certificate).read_bytes())
    return made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_made_once_for_the_names_of_this_machine(tmp_path: Path) -> None:
    certificate, key = self_signed("10.1.2.3", tmp_path / "tls")
    names = covered(certificate)
    assert ipaddress.ip_address("10.1.2.3") in names.get_values_for_type(x509.IPAddress)
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    before = Path(certificate).read_bytes()
    assert self_signed("10.1.2.3", tmp_path / "tls") == (certificate, key)
    assert self_signed("localhost", tmp_path / "tls") == (certificate, key)
    assert Path(certificate).read_bytes() == before
    for path in (certificate, key):
        assert Path(path).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("spoil", ["other name", "nonsense", "no key", "open", "old"])
def test_made_again_when_it_must_be(tmp_path: Path, spoil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed("localhost", tmp_path)
    before = Path(certificate).read_bytes()
    match spoil:
        case "nonsense":
            Path(certificate).write_text("nonsense")
        case "no key":
            Path(key).unlink()
        case "open":
            Path(key).chmod(0o644)
        case "old":
            monkeypatch.setattr(module, "RENEW", module.VALID + datetime.timedelta(days=1))
    self_signed("elsewhere.example" if spoil == "other name" else "localhost", tmp_path)
    assert Path(certificate).read_bytes() != before
    assert Path(key).stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UpError, match="--tls auto cannot keep"):
        self_signed("localhost", tmp_path / "file" / "tls")
