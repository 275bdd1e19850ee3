"""The one place where contracts run: full depth, lazy frames too, never disabled.

One compiled pass (one_pass.py) finds whether any row is bad; pandera then names the rules that the bad rows break (failures.py),
and judges alone where a contract has no compiled form. pandera validates a LazyFrame's schema only, silently, and an environment
variable switches it off; this wrapper collects, sets the depth and refuses to run disabled.
"""

from dataclasses import dataclass, field, replace

import polars as pl
from pandera.config import CONFIG

from formats.errors import ContractError
from platform_assets.contracts.degrading import mended
from platform_assets.contracts.distinct import require_distinct
from platform_assets.contracts.failures import COLUMN, NAME, ROW, RULE, SCHEMA, failures_of
from platform_assets.contracts.marks import marked, taken_off
from platform_assets.contracts.one_pass import one_pass
from platform_assets.contracts.rules import UNIQUE, UNIQUE_FIELDS, Rule
from platform_assets.contracts.spec import Contract

SAMPLE = 20
_EVERYWHERE = pl.lit("all")


@dataclass(frozen=True)
class Verdict:
    """`good` rows, `bad` rows with the column `broken_rule`, and how many rows broke each rule.

    `degraded` says for how many of the good rows a value was replaced, by rule, and `replaced` has these rows. The names of the
    replaced columns are in the column `degraded`, which all good rows of a contract that can degrade have.
    """

    good: pl.DataFrame
    bad: pl.DataFrame
    broken: dict[str, int]
    degraded: dict[str, int] = field(default_factory=dict)
    replaced: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def sample(self) -> pl.DataFrame:
        """The first bad rows, for a person to look at."""
        return self.bad.head(SAMPLE)


def validate(
    name: str, frame: pl.DataFrame | pl.LazyFrame, contract: Contract, *, part: pl.Expr = _EVERYWHERE
) -> Verdict:
    """Judge every row of table `name`. Columns are returned in the contract's order.

    `part` tells the partitions of a range apart: limits and numbers of distinct values hold for each, and a last good value comes
    from the same one, so that a range is judged like its days.

    Raises:
        ContractError: a column is missing, of another type or (if the schema is strict) extra; a rule that blocks is broken;
            more rows than a limit would be set aside or changed; a partition has too many or few distinct values of a column;
            or validation is switched off.
    """
    if not CONFIG.validation_enabled:
        raise ContractError(
            "contract-disabled",
            f"{name} cannot be judged: PANDERA_VALIDATION_ENABLED switches every contract off",
            "unset the variable; there is no way to run without contracts",
        )
    rows, brought = taken_off(name, frame.lazy().collect(), contract)
    failures = _failures(name, rows, contract, part)
    verdict = _verdict(name, rows.select(list(contract.columns)), failures, contract, part)
    require_distinct(name, verdict.good, contract, part)
    return replace(verdict, good=marked(verdict.good, brought, contract))


def _failures(name: str, rows: pl.DataFrame, contract: Contract, part: pl.Expr) -> pl.DataFrame:
    """The failures that pandera finds; it is not asked when the compiled pass finds every row good, if any, and their shape."""
    compiled = one_pass(contract)
    if compiled is None or not compiled.fits(rows.schema):
        return failures_of(name, rows.with_row_index(ROW), contract)
    try:
        if compiled.clean(rows.lazy(), part):
            return SCHEMA.to_frame()
        suspects = rows.with_row_index(ROW).filter(compiled.broken | compiled.repeated)
    except pl.exceptions.PolarsError:  # a check that its column's type does not have: pandera says which
        suspects = rows.with_row_index(ROW)
    return failures_of(name, suspects, contract) if suspects.height else SCHEMA.to_frame()


def _verdict(name: str, rows: pl.DataFrame, failures: pl.DataFrame, contract: Contract, part: pl.Expr) -> Verdict:
    """The verdict, its good rows with their number unless they are all."""
    if failures.is_empty():
        return Verdict(rows, rows.clear().with_columns(pl.lit(None, pl.String).alias(RULE)), {})
    numbered = rows.with_row_index(ROW)
    now = _at_once(failures, contract)
    _block(name, now, rows.height, contract)
    aside = now.filter(_outcome(contract) == "quarantine")[ROW].unique()
    mend = mended(name, numbered, now, contract, part, aside)
    _block(name, mend.failures, rows.height, contract)
    aside = pl.concat([aside, mend.failures[ROW].unique()])
    _limit(name, numbered, aside, part, contract.quarantine_limit, "set {} aside", "quarantine_limit")
    _limit(name, numbered, mend.rows[ROW], part, contract.degrade_limit, "replace values in {}", "degrade_limit")
    bad = _with_reasons(numbered, pl.concat([failures, mend.failures]), aside)
    untouched = numbered.filter(~pl.col(ROW).is_in(failures[ROW].implode()))
    good = pl.concat([untouched, mend.rows], how="diagonal").sort(ROW)
    return Verdict(good, bad, _counted(failures), _counted(mend.replaced), mend.rows.drop(ROW))


def _at_once(failures: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Without the rules of several columns that a row breaks which is about to get other values: it is judged again then."""
    several = pl.col(COLUMN).is_null() & ~pl.col(NAME).is_in([UNIQUE, UNIQUE_FIELDS])
    told = failures.with_columns(_outcome(contract).alias("outcome"), several.alias("several"))
    replacing = told.filter((pl.col("outcome") == "degrade") & ~pl.col("several"))[ROW]
    decided = told.filter((pl.col("outcome") != "degrade") & ~pl.col("several"))[ROW]
    again = pl.col(ROW).is_in(replacing.implode()) & ~pl.col(ROW).is_in(decided.implode())
    return told.filter(~(again & pl.col("several") & (pl.col("outcome") != "degrade"))).select(SCHEMA.names())


def _with_reasons(numbered: pl.DataFrame, failures: pl.DataFrame, aside: pl.Series) -> pl.DataFrame:
    reasons = failures.group_by(ROW).agg(pl.col(RULE).unique().sort().str.join("; "))
    bad = numbered.filter(pl.col(ROW).is_in(aside.implode()))
    return bad.join(reasons, on=ROW, how="left", maintain_order="left").drop(ROW)


def _counted(failures: pl.DataFrame) -> dict[str, int]:
    return dict(failures.group_by(RULE).agg(pl.col(ROW).n_unique()).sort(RULE).iter_rows())


def _outcome(contract: Contract) -> pl.Expr:
    """What becomes of a failure's row, by its rule: block, quarantine, degrade."""
    known = {name: _word(contract, rule) for name, rule in contract.row_rules.items()}
    by_column = {name: _word(contract, Rule("", "", name)) for name in contract.columns}
    of_column = pl.col(COLUMN).replace_strict(by_column, default=contract.on_breach, return_dtype=pl.String)
    return pl.coalesce(pl.col(NAME).replace_strict(known, default=None, return_dtype=pl.String), of_column)


def _word(contract: Contract, rule: Rule) -> str:
    outcome = contract.outcome(rule)
    return outcome if isinstance(outcome, str) else "degrade"


def _block(name: str, failures: pl.DataFrame, height: int, contract: Contract) -> None:
    blocking = failures.filter(_outcome(contract) == "block")
    if blocking.height:
        rules = ", ".join(f"{rule} ({count} rows)" for rule, count in _counted(blocking).items())
        raise ContractError(
            "contract-breach",
            f"{name} breaks rules that block: {rules}; the first is row {blocking[ROW].sort()[0]} of {height}",
            "correct the rows at the source and materialize again; nothing was written",
        )


def _limit(
    name: str, numbered: pl.DataFrame, rows: pl.Series, part: pl.Expr, limit: float, what: str, knob: str
) -> None:
    parts = numbered.select(pl.col(ROW).is_in(rows.implode()).alias("bad"), part.alias("part"))
    shares = parts.group_by("part").agg(pl.col("bad").sum(), pl.len().alias("of")).sort("part")
    beyond = shares.filter(pl.col("bad") > limit * pl.col("of"))
    if beyond.height:
        first = beyond.row(0, named=True)
        told = what.format(f"{first['bad']} of {first['of']} rows of {first['part']}")
        raise ContractError(
            "contract-breach",
            f"{name} would {told}, more than the limit of {limit:.1%}",
            f"correct the source, or raise {knob} in the contract if this is how the data is",
        )
