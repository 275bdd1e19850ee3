"""Team aviation: will a flight leave late? Its tables, views, datasets and model."""
