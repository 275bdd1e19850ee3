"""Arguments and options that several verbs take, each declared once."""

from typing import Annotated

import typer

Endpoint = Annotated[str, typer.Argument(help="<team>/<model>/<environment>/endpoint")]
Subject = Annotated[str, typer.Argument(help="<team>/<model>/<environment>/endpoint, or policy/<environment>.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the ledger.")]
Bundle = Annotated[str | None, typer.Option(help="The digest; what waits there when not given.")]
Actor = Annotated[str | None, typer.Option("--as", help="Your name in identities.yaml; the login when not given.")]
Role = Annotated[str | None, typer.Option(help="The role you speak in, if you hold several.")]
