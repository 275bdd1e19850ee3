"""One-line mutants of the gates and of what stands around them; each must turn the named test red."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """In `file`, `old` becomes `new`; then `test` fails. The name says what is lost."""

    name: str
    file: str
    old: str
    new: str
    test: str


_GATES = "tests/unit/promotion/test_gates.py::"
_LIFE = "tests/unit/promotion/test_lifecycle.py::"
_WORDS = "tests/unit/promotion/test_approvals.py::"
_REPLAY = "tests/unit/promotion/test_replay.py::"
_LEDGER = "tests/unit/promotion/test_ledger_verification.py::"
_COMPARISONS = "platform_assets/promotion/comparisons.py"
_BUDGETS = "platform_assets/promotion/budgets.py"
_INSPECTIONS = "platform_assets/promotion/inspections.py"

MUTANTS = (
    Mutant(
        "floor-ignored",
        "platform_assets/promotion/results.py",
        "isfinite(value) and margin >= 0",
        "isfinite(value)",
        f"{_GATES}test_floor_fails_below_the_minimum",
    ),
    Mutant(
        "ceiling-turned-round",
        _COMPARISONS,
        "gate.maximum, message, most=True)",
        "gate.maximum, message)",
        f"{_GATES}test_ceiling_passes_and_fails",
    ),
    Mutant(
        "baseline-beaten-by-being-worse",
        _COMPARISONS,
        "gain = other - own if gate.metric in LOSSES else own - other",
        "gain = abs(own - other)",
        f"{_GATES}test_baselines_are_beaten_or_not[base_rate]",
    ),
    Mutant(
        "chance-counts-as-better",
        _COMPARISONS,
        "lower = difference.lower(gate.confidence)",
        "lower = abs(difference.estimate)",
        f"{_GATES}test_better_by_chance_is_not_better",
    ),
    Mutant(
        "champion-judged-on-its-training-rows",
        _COMPARISONS,
        "if first < since:",
        "if first is None:",
        f"{_GATES}test_rows_that_the_champion_may_have_seen_are_not_compared",
    ),
    Mutant(
        "compared-with-itself",
        _COMPARISONS,
        "if champion.bundle == bundle:",
        "if champion.bundle is None:",
        f"{_GATES}test_a_champion_compared_with_itself_has_failed",
    ),
    Mutant(
        "parity-on-no-rows",
        _BUDGETS,
        "if rows < 1:",
        "if rows < 0:",
        f"{_GATES}test_measurements_that_say_nothing_have_failed",
    ),
    Mutant(
        "parity-without-tolerance",
        _BUDGETS,
        "bounded(gate, worst, gate.tolerance,",
        "bounded(gate, worst, worst,",
        f"{_GATES}test_parity_and_latency_fail_beyond_their_bounds",
    ),
    Mutant(
        "latency-without-budget",
        _BUDGETS,
        "bounded(gate, p99, gate.p99_ms,",
        "bounded(gate, p99, p99,",
        f"{_GATES}test_parity_and_latency_fail_beyond_their_bounds",
    ),
    Mutant(
        "graph-not-looked-at",
        _INSPECTIONS,
        "failures = [*_graph_findings(case), ",
        "failures = [",
        f"{_GATES}test_a_wrong_graph_lists_every_difference",
    ),
    Mutant(
        "training-rows-judged",
        _INSPECTIONS,
        "        *overlap_findings(case, case.candidate.key),\n    ]",
        "    ]",
        f"{_GATES}test_training_rows_in_the_hold_out_are_found",
    ),
    Mutant(
        "times-not-looked-at",
        _INSPECTIONS,
        "        *time_findings(case),\n        *overlap",
        "        *overlap",
        f"{_GATES}test_every_gap_in_provenance_is_named",
    ),
    Mutant(
        "raising-is-no-failure",
        "platform_assets/promotion/gates.py",
        'return result(gate, "failed", ',
        'return result(gate, "incomparable", ',
        f"{_GATES}test_without_outcomes_quality_has_failed",
    ),
    Mutant(
        "reasons-without-consequence",
        "platform_assets/promotion/judgement.py",
        "    if reasons:\n",
        "    if not reasons and missing:\n",
        f"{_LIFE}test_a_refused_candidate_is_a_fact_with_reasons",
    ),
    Mutant(
        "approvals-not-asked-for",
        "platform_assets/promotion/standing.py",
        "if len(fitting) < rule.count:",
        "if rule.count < 0:",
        f"{_WORDS}test_a_good_candidate_waits_until_somebody_approves_it",
    ),
    Mutant(
        "own-approval-counts",
        "platform_assets/promotion/standing.py",
        'own = identities.wrote(said.actor, authors, given.email) and said.verb != "reject"',
        "own = False",
        f"{_WORDS}test_nobody_approves_their_own",
    ),
    Mutant(
        "approvals-never-age",
        "platform_assets/promotion/standing.py",
        "now < said.expires_at and not own",
        "not own",
        f"{_WORDS}test_an_approval_ages",
    ),
    Mutant(
        "revoked-key-counts",
        "platform_assets/promotion/identity.py",
        "if keyid not in self.revoked}",
        "if keyid}",
        f"{_WORDS}test_a_revoked_key_takes_its_word_with_it",
    ),
    Mutant(
        "lower-policy-at-once",
        "platform_assets/promotion/force.py",
        "if given_up and (words.rejections or missing):",
        "if given_up and words.rejections:",
        f"{_WORDS}test_a_policy_lowered_in_the_same_change_decides_nothing",
    ),
    Mutant(
        "waiver-does-not-limit-the-release",
        "platform_assets/promotion/issue.py",
        "expires_at=min([now + VALIDITY, *(waived.expires_at for waived in grounds.waived)])",
        "expires_at=now + VALIDITY",
        f"{_WORDS}test_a_waived_gate_is_recorded_and_the_release_expires_with_the_waiver",
    ),
    Mutant(
        "bars-forgotten",
        "platform_assets/promotion/issue.py",
        "if bundle in pointers.barred:",
        "if bundle in ():",
        f"{_LIFE}test_a_barred_bundle_does_not_come_back_until_it_is_lifted",
    ),
    Mutant(
        "champion-not-compared-and-swapped",
        "platform_assets/promotion/desk.py",
        "if found != expected:",
        "if found is None:",
        f"{_LIFE}test_a_champion_that_moves_while_deciding_stops_the_decision",
    ),
    Mutant(
        "signature-not-asked-for",
        "platform_assets/promotion/pointers.py",
        "lambda entry: authentic(entry, trusted)",
        "lambda entry: bool(entry.signature)",
        "tests/unit/promotion/test_pointers.py::test_a_release_signed_by_another_key_is_ignored_and_reported",
    ),
    Mutant(
        "anchor-not-compared",
        "resources/ledger_verification.py",
        "self._head.sequence < anchored.sequence",
        "self._head.sequence < 0",
        f"{_LEDGER}test_a_cut_tail_is_found_by_the_anchor",
    ),
    Mutant(
        "hash-not-recomputed",
        "resources/ledger_verification.py",
        "if entry.hash != entry.content_hash() or",
        "if not entry.hash or",
        f"{_LEDGER}test_an_edited_row_is_named",
    ),
    Mutant(
        "what-nobody-measured-has-failed",
        "platform_assets/promotion/remeasure.py",
        "return again if alike or again.value is not None else None",
        "return again",
        f"{_REPLAY}test_what_was_not_recorded_is_unknown_and_never_a_pass",
    ),
    Mutant(
        "unknown-counts-as-passed",
        "platform_assets/promotion/review.py",
        'return "unknown" if weighed.unknown else "stands"',
        'return "stands"',
        f"{_REPLAY}test_what_was_not_recorded_is_unknown_and_never_a_pass",
    ),
    Mutant(
        "replayed-verdict-not-compared",
        "platform_assets/promotion/replay.py",
        "if name not in _ASIDE and was != now:",
        "if name in _ASIDE and was != now:",
        f"{_REPLAY}test_a_decision_that_does_not_follow_is_found_although_it_is_signed",
    ),
    Mutant(
        "report-unescaped",
        "platform_assets/promotion/page.py",
        "loader=loader, autoescape=True",
        "loader=loader, autoescape=False",
        "tests/unit/promotion/test_report.py::test_every_value_is_escaped_and_the_page_loads_nothing",
    ),
)
