"""`roadbed enroll`: make a person known to the authority, with roles and a key."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from formats.durable import write_atomic
from formats.signing import key_id, load_private_key, load_public_key, new_private_key, private_pem, public_pem
from platform_assets.cli.site import find_site
from platform_assets.cli.words import key_path
from platform_assets.promotion.identity import Identities, Identity, load_identities, save_identities


def command(
    name: Annotated[str, typer.Argument(help="The person's name, as it will stand in the ledger.")],
    role: Annotated[list[str], typer.Option(help="A role that they hold; may be given several times.")],
    email: Annotated[
        list[str] | None, typer.Option(help="An address that their commits carry; may be repeated.")
    ] = None,
    login: Annotated[
        list[str] | None, typer.Option(help="Who they are by token, `<issuer>:<subject>`; may be repeated.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Their public key (PEM); made here when not given.")] = None,
) -> None:
    """Enrol a person, or change their roles; without --key a key pair is made and the private half kept out of the installation."""
    home = find_site(None).home
    pem = key.read_bytes() if key is not None else _own_key(name)
    public = load_public_key(pem)
    people = load_identities(home).people
    before = people.get(name, Identity(roles=()))
    keys = dict.fromkeys([*before.keys, public_pem(public).decode()])
    emails = dict.fromkeys([*before.emails, *(email or ())])
    logins = dict.fromkeys([*before.logins, *(login or ())])
    person = msgspec.structs.replace(
        before, roles=tuple(role), keys=tuple(keys), emails=tuple(emails), logins=tuple(logins)
    )
    save_identities(home, Identities({**people, name: person}))
    typer.echo(f"enrolled {name} as {', '.join(role)}, key {key_id(public)[:12]}")


def _own_key(name: str) -> bytes:
    path = key_path(name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, private_pem(new_private_key()), mode=0o600)
        typer.echo(f"made     {path}: keep it to yourself")
    return public_pem(load_private_key(path.read_bytes()).public_key())
