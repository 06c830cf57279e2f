"""How sure it is that a group is a loop over the rows of an earlier result.

high
    a foreign key, or the same unique column, ties parameter and column, practically every value came from
    it, and the calls follow its rows, or stand in one explicit transaction, or at one regular distance;
medium
    no such tie, but a link by values that coincidence does not explain; or a predicate on a foreign key
    with many values in one transaction, its parents perhaps cached;
low
    repetition only. Consecutive requests on a busy pooled connection look like this.

Thresholds are the project's own design; none of the compared tools looks at values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from workload.catalog import Catalog
from workload.detect.groups import Group
from workload.detect.links import Link, Target
from workload.model import Confidence

FULL_COVERAGE: Final = 0.95
SHARED_COVERAGE: Final = 0.5
"""Where two parents feed one child, the lesser share that one of them must have."""
LOOP_ORDER: Final = 0.9
LOOSE_ORDER: Final = 0.5
LOOP_STRIDE: Final = 0.7
"""Share of equal distances between calls that makes a loop of an unordered sequence."""
DENSE_ORDER: Final = 0.95
MIN_DISTINCT: Final = 5
SLOW_GAP_MS: Final = 1000.0
"""Median think time of people; a program that loops outside of a transaction is quicker."""

_RANK: Final[dict[Confidence, int]] = {"high": 2, "medium": 1, "low": 0}


@dataclass(frozen=True, slots=True)
class Verdict:
    """``link`` is the best one found, None without any that counts; ``target`` the key to name."""

    confidence: Confidence
    link: Link | None
    target: Target | None


def judge(group: Group, targets: Sequence[Target], links: Iterable[Link], catalog: Catalog | None) -> Verdict:
    """The best explanation of the group's varying parameters."""
    foreign = [link for link in links if link.source.statement.fingerprint != group.fingerprint]
    judged = [(_of_link(group, link, foreign), link) for link in foreign]
    judged.sort(key=lambda pair: (_RANK[pair[0]], bool(pair[1].provenance), pair[1].coverage, pair[1].order))
    slow = group.median_gap_ms() >= SLOW_GAP_MS and not group.in_one_transaction()
    if judged and judged[-1][0] != "low" and not slow and not group.spread_over_transactions():
        confidence, link = judged[-1]
        return Verdict(confidence, link, link.target)
    target = _named(targets, catalog)
    if target is not None and _foreign_key_loop(group, target, catalog):
        return Verdict("medium", None, target)
    return Verdict("low", None, target)


def _of_link(group: Group, link: Link, links: Sequence[Link]) -> Confidence:
    if link.provenance:
        return _of_provenance(group, link, links)
    return "medium" if _passes_guard(link) else "low"


def _of_provenance(group: Group, link: Link, links: Sequence[Link]) -> Confidence:
    if not _like_a_loop(group, link):
        return "low"
    if link.coverage >= FULL_COVERAGE:
        return "high"
    siblings = [
        other.coverage
        for other in links
        if other.provenance and other.target.position == link.target.position
    ]
    if link.coverage >= SHARED_COVERAGE and sum(siblings) >= FULL_COVERAGE and link.hits >= MIN_DISTINCT:
        return "medium"
    return "low"


def _like_a_loop(group: Group, link: Link) -> bool:
    if link.order >= LOOP_ORDER or group.in_one_transaction():
        return True
    return link.order >= LOOSE_ORDER and group.stride()[1] >= LOOP_STRIDE


def _passes_guard(link: Link) -> bool:
    """Against coincidence: small integers meet by chance, enumerations always do."""
    if link.source.low_information or link.hits < MIN_DISTINCT or link.coverage < FULL_COVERAGE:
        return False
    return link.order >= (DENSE_ORDER if link.source.dense else LOOP_ORDER)


def _named(targets: Sequence[Target], catalog: Catalog | None) -> Target | None:
    """The parameter to name where nothing flows: a foreign key's, else one of an equality, else any."""
    keyed = [target for target in targets if _is_foreign_key(target, catalog)]
    equal = [t for t in targets if t.predicate is not None and t.predicate.operator in ("=", "in", "any")]
    return next(iter((*keyed, *equal, *targets)), None)


def _foreign_key_loop(group: Group, target: Target, catalog: Catalog | None) -> bool:
    return (
        _is_foreign_key(target, catalog)
        and len({step.params[target.position] for step in group.calls}) >= MIN_DISTINCT
        and group.in_one_transaction()
    )


def _is_foreign_key(target: Target, catalog: Catalog | None) -> bool:
    """The column refers to another table, or others refer to it."""
    if catalog is None or target.table is None or not target.attnum:
        return False
    place = (target.table.oid, target.attnum)
    return bool(catalog.references(*place) or catalog.referenced_by(*place))
