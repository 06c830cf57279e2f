"""The stored document: what comes back, and what is refused."""

from __future__ import annotations

import msgspec
import pytest

from advisor.model import Advice, BatchCandidate, IndexCandidate, IndexKey, Proof

PROOF = Proof(method="build", server_version="18.4", made_at=1.0, summary="cheaper")
INDEX = IndexCandidate(schema="public", table="t", keys=(IndexKey(column="a", descending=True),))
BATCH = BatchCandidate(
    finding_id="f", original="SELECT 1", batched="SELECT 2", shape="any", key_column="a", notes=("mind",)
)


@pytest.mark.parametrize("candidate", [INDEX, BATCH], ids=["index", "batch"])
def test_a_document_reads_back_as_what_it_was(candidate: IndexCandidate | BatchCandidate) -> None:
    advice = Advice(id="1", title="t", database="d", candidate=candidate, proof=PROOF)
    assert msgspec.json.decode(msgspec.json.encode(advice), type=Advice) == advice


def test_fields_of_a_later_version_are_passed_over() -> None:
    document = msgspec.json.decode(
        msgspec.json.encode(Advice(id="1", title="t", database="d", candidate=INDEX, proof=PROOF))
    )
    document["later"] = 1
    document["proof"]["later"] = 1
    assert msgspec.convert(document, Advice).proof == PROOF


def test_a_candidate_or_method_that_is_not_known_is_refused() -> None:
    document = msgspec.json.decode(
        msgspec.json.encode(Advice(id="1", title="t", database="d", candidate=INDEX, proof=PROOF))
    )
    with pytest.raises(msgspec.ValidationError, match="matview"):
        msgspec.convert(document | {"candidate": {"type": "matview"}}, Advice)
    with pytest.raises(msgspec.ValidationError, match="guess"):
        msgspec.convert(document | {"proof": document["proof"] | {"method": "guess"}}, Advice)


def test_candidates_are_keys_of_dictionaries() -> None:
    again = IndexCandidate(schema="public", table="t", keys=(IndexKey(column="a", descending=True),))
    assert {INDEX: 1}[again] == 1
