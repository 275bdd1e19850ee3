"""The data plane: one small process an endpoint, which verifies what it serves and imports no training code.

python -m serving --home DIR --endpoint aviation/departure_delay/prod/endpoint --port 8801
"""
