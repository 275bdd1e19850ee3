"""One-line mutants of attestations, of the places that look at them, and of imports; each must turn the named test red."""

from tests.mutants.promotion import Mutant

_SIGNED = "tests/unit/promotion/test_signed.py::"
_CARRIED = "tests/unit/promotion/test_carry.py::"
_FORMAT = "tests/unit/formats/test_attestation.py::"
_SERVED = "tests/unit/serving/test_attested_releases.py::"

MUTANTS = (
    Mutant(
        "unsigned-passes",
        "platform_assets/promotion/signed.py",
        "for name in REQUIRED for found in",
        "for name in REQUIRED[:0] for found in",
        f"{_SIGNED}test_an_unsigned_bundle_has_failed",
    ),
    Mutant(
        "provenance-not-compared",
        "platform_assets/promotion/signed.py",
        'if name == "provenance":',
        "if name != name:",
        f"{_SIGNED}test_a_provenance_of_other_data_or_code_has_failed",
    ),
    Mutant(
        "another-bundles-attestations",
        "formats/attestation.py",
        "header.predicate_type, header.subject)",
        "header.predicate_type, expected.subject)",
        f"{_SIGNED}test_a_swapped_graph_with_a_fitting_manifest_has_failed",
    ),
    Mutant(
        "another-statement-in-its-place",
        "formats/attestation.py",
        "header.type, header.predicate_type,",
        "header.type, expected.predicate_type,",
        f"{_SIGNED}test_a_damaged_envelope_or_a_swapped_one_has_failed",
    ),
    Mutant(
        "listed-files-not-compared",
        "formats/attestation.py",
        'if name == "signature" and payload != _encoded(expected):',
        'if name == "" and payload != _encoded(expected):',
        f"{_FORMAT}test_what_does_not_count",
    ),
    Mutant(
        "payload-of-another-type",
        "formats/signing.py",
        "if envelope.payload_type != payload_type:",
        "if not envelope.payload_type:",
        f"{_FORMAT}test_what_does_not_count",
    ),
    Mutant(
        "signature-not-verified",
        "formats/signing.py",
        "if key is not None and _verifies(",
        "if key is not None or _verifies(",
        f"{_FORMAT}test_what_does_not_count",
    ),
    Mutant(
        "revoked-authority-counts",
        "formats/trusted_keys.py",
        "if key_id(key) not in revoked)",
        "if key_id(key))",
        f"{_SIGNED}test_a_revoked_key_has_failed_and_a_retired_one_has_not",
    ),
    Mutant(
        "released-without-attestations",
        "platform_assets/promotion/issue.py",
        "    require_attested(folder, read_manifest(folder, grounds.bundle), desk.trusted)\n",
        "",
        f"{_SIGNED}test_a_policy_that_does_not_ask_for_it_releases_nothing_that_is_not_attested",
    ),
    Mutant(
        "every-origin-trusted-to-release",
        "formats/trusted_keys.py",
        "    return (*_unrevoked(folder, keys), *retired_keys(folder))",
        "    return (*_unrevoked(folder, keys), *retired_keys(folder), *_keys_in(folder / ORIGINS))",
        f"{_CARRIED}test_an_origins_word_counts_for_imports_alone",
    ),
    Mutant(
        "training-record-not-compared",
        "platform_assets/promotion/carry.py",
        "    if recorded != sha256_hex(record):",
        "    if not recorded:",
        f"{_CARRIED}test_missing_foreign_and_swapped_files_are_refused",
    ),
    Mutant(
        "partition-leads-anywhere",
        "platform_assets/promotion/carry.py",
        "if not (_MODEL.fullmatch(model) and _PARTITION.fullmatch(partition)):",
        "if not (model and partition):",
        f"{_CARRIED}test_a_provenance_that_leads_out_of_the_store_is_refused",
    ),
    Mutant(
        "archives-hide-things",
        "formats/bundle_archive.py",
        "    if pack(files) != data:",
        "    if not files:",
        "tests/unit/formats/test_bundle_archive.py::test_a_hostile_archive_is_refused",
    ),
    Mutant(
        "served-without-attestations",
        "serving/releases.py",
        "        require_attested(folder, read_manifest(folder, document.bundle), trusted)\n",
        "",
        f"{_SERVED}test_a_server_does_not_start_without_an_attestation",
    ),
)
