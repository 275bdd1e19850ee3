"""Raw tables, entities and feature views, and the point-in-time join over them."""
