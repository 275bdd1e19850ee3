"""Pages that stand alone: one HTML file, no script, nothing fetched; whatever others wrote is text in them."""

from datetime import datetime

from platform_assets.promotion.explained_link import Link


def rendered(template: str, **values: object) -> bytes:
    """The template of this name with `values`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # trim_blocks and lstrip_blocks keep the page readable; autoescape is for every template, whatever its name.
    loader = PackageLoader("platform_assets.promotion", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    return environment.get_template(template).render(**values).encode()


def explanation_page(subject: str, links: tuple[Link, ...], at: datetime) -> bytes:
    """The chain behind `subject`, told at `at`. A link that was found to be false makes the whole false."""
    broken = any(link.verified is False for link in links)
    return rendered("explanation.html", subject=subject, links=links, at=at, verified=not broken)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
