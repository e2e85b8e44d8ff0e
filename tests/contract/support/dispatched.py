"""Adds up the messages of extensions in a queue as the gateway does: each id once."""
import json
import re
from collections import defaultdict


def events(queue):
    """Returns the events of all messages that are visible, in the order of their arrival."""
    return [event for message in queue.receive() for event in json.loads(message["Body"])]


class Dispatched:
    """The sums of events. A counter is its sum, a gauge the value of the newest, a histogram the list of its observations."""

    def __init__(self, all_events):
        self.events, self.duplicates = {}, 0
        self.series = defaultdict(int)
        for event in all_events:
            assert re.fullmatch(r"[0-9a-f]{32}-[0-9]+", event["id"]), event
            if event["id"] in self.events:
                assert event == self.events[event["id"]], "a repetition must be the same event"
                self.duplicates += 1
                continue
            self.events[event["id"]] = event
            key = event["name"], tuple(sorted(event.get("labels", {}).items()))
            if event["type"] == "counter":
                self.series[key] += event["value"]
            elif event["type"] == "gauge":
                self.series[key] = event["value"]
            else:
                values = event["value"] if isinstance(event["value"], list) else [event["value"]]
                counts = event.get("counts", [1] * len(values))
                held = self.series.setdefault(key, [])
                held += [value for value, count in zip(values, counts) for _ in range(count)]

    @property
    def environments(self):
        return {name.rsplit("-", 1)[0] for name in self.events}

    def __call__(self, name, **labels):
        """Returns what the series of this name and these labels come to, without the label of the function; None if there is none."""
        wanted = tuple(sorted({"function_name": "water-metrics", **labels}.items()))
        return self.series.get((name, wanted))
