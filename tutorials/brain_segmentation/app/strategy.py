"""Federated averaging that keeps what is needed to check it afterwards."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

Metrics = dict[str, float]


@dataclass
class History:
    """What the sites sent. `rounds[r][trust]` are metrics of round r + 1; the rest is of the last round."""

    rounds: list[dict[str, Metrics]] = field(default_factory=list)
    sent: list[ArrayRecord] = field(default_factory=list)
    local: dict[str, ArrayRecord] = field(default_factory=dict)
    alone: dict[str, ArrayRecord] = field(default_factory=dict)

    def examples(self) -> dict[str, float]:
        """Weight of each trust in the last mean."""
        return {trust: metrics["num-examples"] for trust, metrics in self.rounds[-1].items()}


class RecordingFedAvg(FedAvg):
    """FedAvg weighted by `num-examples`; every available site takes part, at least `min_sites`."""

    def __init__(self, min_sites: int, num_rounds: int) -> None:
        super().__init__(
            fraction_evaluate=0.0,
            min_train_nodes=min_sites,
            min_available_nodes=min_sites,
        )
        self.num_rounds, self.history = num_rounds, History()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Tells the sites when it is the last round, in which their private copies are compared."""
        self.history.sent.append(arrays)
        config["last-round"] = server_round == self.num_rounds
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Averages, and keeps each site's part.

        Raises:
            RuntimeError: no site sent a result.
        """
        answers = list(replies)
        good = [answer for answer in answers if not answer.has_error()]
        if not good:
            raise RuntimeError(f"round {server_round}: none of {len(answers)} sites sent a result")
        self.history.rounds.append({})
        self.history.local.clear()
        for answer in good:
            trust = site_of(answer)
            self.history.rounds[-1][trust] = metrics_of(answer)
            self.history.local[trust] = answer.content.array_records["arrays"]
            if "alone" in answer.content:
                self.history.alone[trust] = answer.content.array_records["alone"]
                del answer.content["alone"]  # FedAvg wants one set of arrays a reply
        return super().aggregate_train(server_round, answers)


def site_of(answer: Message) -> str:
    """The name a site gives itself; for file names and tables, FLIP attributes metrics by the site's key."""
    return str(answer.content.config_records["config"]["site"])


def metrics_of(answer: Message) -> Metrics:
    """The numbers of a reply."""
    return {label: float(str(value)) for label, value in answer.content.metric_records["metrics"].items()}
