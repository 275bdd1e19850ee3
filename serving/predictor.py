"""The way of a prediction: decode, fetch features, run the model in company, record, answer."""

from collections.abc import Sequence
from time import perf_counter

import msgspec

from formats.errors import ContractError
from serving.answers import AnyPrediction
from serving.batching import Answer
from serving.clock import ServingClock
from serving.deadline import Deadline
from serving.http import Response
from serving.marks import UNMARKED, Marks
from serving.metrics import Metrics
from serving.online_features import OnlineFeatures
from serving.online_reader import StoreState
from serving.open_inference import decode_infer, infer_response
from serving.prediction_log import PredictionLog
from serving.records import Occasion, records
from serving.refusals import fault_of, unavailable
from serving.releases import Releases, Serving
from serving.requests import Batch


class Predictor:
    """Answers the predictions of one endpoint with whatever release is in service when they begin."""

    def __init__(
        self,
        endpoint: str,
        clock: ServingClock,
        releases: Releases,
        store: OnlineFeatures,
        log: PredictionLog,
        metrics: Metrics,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._releases = releases
        self._store = store
        self._log = log
        self._metrics = metrics

    @property
    def store_state(self) -> StoreState:
        """How the online store is doing."""
        return self._store.state

    async def predict(self, body: bytes, deadline: Deadline) -> Response:
        """Answer `POST /predict`. Raises Refusal."""
        started = perf_counter()
        serving = self._releases.current()
        batch = serving.model.decoder.decode(body)
        answered, _ = await self._answer(serving, batch, deadline)
        out = msgspec.json.encode(answered[0] if batch.single else serving.model.answers.many(answered))
        self._metrics.latency[serving.model.digest].observe(perf_counter() - started)
        return Response(200, out, serving.headers.of(answered))

    async def infer(self, body: bytes, deadline: Deadline) -> Response:
        """Answer the Open Inference Protocol. Raises Refusal."""
        started = perf_counter()
        serving = self._releases.current()
        contract = serving.model.contract
        request_id, batch = decode_infer(body, contract)
        answered, answer = await self._answer(serving, batch, deadline)
        ids = [prediction.prediction for prediction in answered]
        out = infer_response(contract, serving.model.digest, request_id, ids, answer)
        self._metrics.latency[serving.model.digest].observe(perf_counter() - started)
        return Response(200, out, serving.headers.of(answered))

    async def _answer(self, serving: Serving, batch: Batch, deadline: Deadline) -> tuple[list[AnyPrediction], Answer]:
        now = self._clock.now()
        model = serving.model
        marks: Sequence[Marks] = [UNMARKED] * len(batch.rows)
        if batch.form is model.decoder.keyed:
            marks = await deadline.meet(self._store.fill(model.views, batch, now), "features")
        try:
            answer = await serving.batcher.submit(batch.numeric, batch.categorical, deadline)
        except ContractError as error:
            raise unavailable(fault_of(error)) from error
        answered = model.answers.predictions(model.contract.model, serving.document, marks, answer)
        for record in records(Occasion(self._endpoint, now), model.log_plan(batch.form), batch, answered):
            self._log.append(record)
        self._metrics.rows[model.digest] += len(answered)
        return answered, answer
