"""Team vision: which digit did somebody write? Its tables, dataset and model."""
