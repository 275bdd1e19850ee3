"""The same declarations as YAML, for `dg`: the module that `registry_modules` in a team's pyproject.toml names."""

from platform_assets.components.component import TeamComponent

__all__ = ["TeamComponent"]
