"""How assets are stored: tables in the lake, bundles by digest."""
