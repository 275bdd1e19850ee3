"""`roadbed erase`: all that is stored about a key of an entity goes, and stays gone."""

import getpass
import re
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from formats.errors import PromotionError
from platform_assets.cli.contracts import teams
from platform_assets.cli.options import Actor, Role
from platform_assets.cli.quiet import quiet
from platform_assets.cli.site import Site, find_site
from platform_assets.cli.words import say
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.statement import ERASURE_SUBJECT
from resources.erased_keys import Action
from resources.installation import installation_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from platform_assets.erasure.order import Order
    from platform_assets.erasure.places import Subject
    from platform_assets.erasure.plan import Plan
    from platform_assets.team import Team

_DONE: dict[Action, str] = {"erase": "erased", "mask": "masked"}


def command(
    entity: Annotated[str, typer.Argument(help="The entity, as a team declares it.")],
    key: Annotated[list[str], typer.Argument(help="The values of its keys, in their order.")],
    apply: Annotated[bool, typer.Option("--apply/--dry-run", help="Erase, or only say what is there.")] = False,
    mask: Annotated[bool, typer.Option("--mask", help="Keep the rows, without key and personal values.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger, so it must not name anybody.")] = "",
    actor: Actor = None,
    role: Role = None,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Say what is stored about a key and what its erasure makes impossible; with --apply, erase it and keep it from coming back."""
    site = find_site(None)
    declared, subject = asked(site, entity, key)
    plan = found(site, declared, subject, "mask" if mask else "erase")
    print(msgspec.json.encode(plan).decode() if json else "\n".join(told(plan)))
    if apply:
        order, changed = _apply(site, declared, subject, plan, (reason, actor, role))
        if not json:
            print(f"{_DONE[order.action]:<9}{order.pseudonym}; {changed} partitions changed")


def asked(site: Site, entity: str, key: "Sequence[str]") -> tuple[list["Team"], "Subject"]:
    """The checkout's teams, and whom it is about. Raises DeclarationError if no team has such an entity."""
    with quiet():
        from platform_assets.erasure.places import subject_of
    declared = [team for team, _ in teams(site.root)]
    return declared, subject_of(declared, entity, tuple(key))


def found(site: Site, declared: "Sequence[Team]", subject: "Subject", action: Action | None = None) -> "Plan":
    """What is stored about it. Raises as `planned`."""
    from platform_assets.erasure.plan import planned

    return planned(installation_at(site.home), evidence_of(site.home), declared, subject, action)


def told(plan: "Plan") -> "Iterator[str]":
    """The plan in lines."""
    yield f"key      {plan.entity} {plan.pseudonym or ''}{', ordered before' if plan.order else ''}".rstrip()
    if plan.nothing:
        yield "nothing  is stored about it"
    for each in plan.tables:
        past = f", {each.past_files} files of the past" if each.past_files else ""
        yield f"table    {each.table}: {each.rows} rows in {len(each.partitions)} partitions{past}"
    counts = {"online": plan.online, "waiting": plan.waiting}
    yield from (f"{name:<9}{count} rows" for name, count in counts.items() if count)
    yield from (f"text     {path}: {count} times" for path, count in plan.texts.items())
    yield from (f"bundle   {each.bundle[:19]} of {each.model}: {each.why}" for each in plan.bundles)
    yield from (f"remake   {name}" for name in plan.recompute)
    yield from (f"lost     {what}" for what in plan.impossible)
    yield from (f"note     {remark}" for remark in plan.remarks)


def _apply(
    site: Site, declared: "Sequence[Team]", subject: "Subject", plan: "Plan", word: tuple[str, str | None, str | None]
) -> tuple["Order", int]:
    """The order, and how many partitions it changed."""
    from platform_assets.cli.dagster_home import open_instance
    from platform_assets.erasure.carry_out import carry_out
    from platform_assets.erasure.reported import report

    order = _ordered(site, subject, plan, word)
    installation = installation_at(site.home)
    carry_out(installation, declared, subject, plan, order, actor=word[1] or getpass.getuser())
    with quiet(), open_instance(site) as instance:
        return order, report(instance, installation, declared, subject.entity, order)


def _names(reason: str, value: str) -> bool:
    """Whether `value` is in the reason as a word: 4 is not in "case 4711"."""
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", reason, re.IGNORECASE) is not None


def _ordered(site: Site, subject: "Subject", plan: "Plan", word: tuple[str, str | None, str | None]) -> "Order":
    """The order in the ledger; one that stands needs no second word, so that whoever finishes it need not ask again."""
    from platform_assets.erasure.order import standing

    name = (plan.entity, installation_at(site.home).lake.pseudonym(plan.entity, subject.key))
    order = standing(evidence_of(site.home)).get(name)
    if order is None or order.action != plan.action == "erase":
        reason, actor, role = word
        if not reason.strip() or any(_names(reason, value) for value in subject.key):
            raise PromotionError(
                "erasure-not-allowed",
                "an erasure needs a reason, and the reason must not have the key: the ledger keeps it for good",
                "give --reason with a case number, such as --reason 'request 4711'",
            )
        where = f"{ERASURE_SUBJECT}{plan.entity}"
        say(plan.action, where, reason=reason, days=1, actor=actor, role=role, digest=name[1])
    return standing(evidence_of(site.home))[name]
