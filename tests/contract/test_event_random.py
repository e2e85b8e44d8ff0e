"""Random events against a model of the contract that was written from its text.

Whatever its parts are, the gateway stores an event exactly, or rejects it for a reason that is true of it.
"""
import json
import random
import re

import pytest

from support.event_values import BAD, GOOD
from support.events import now_ms

ALPHABET = ["a", "b", "Z", "1", "0", "_", "_", ":", "-", ".", " ", "é", "日", "🌡", "\\", '"', "\n"]
GOOD_VALUES = [(param.values[0], param.values[1]) for param in GOOD if len(param.values[0]) < 100]
BAD_VALUES = [literal for literal in BAD.values() if len(literal) < 100]
LABEL_VALUES = [('"x"', "x"), ('"y z"', "y z"), ("1.50", "1.50"), ("-0", "-0"), ("true", "true"), ('"é\\n"', "é\n"),
                ('"\\ud83c\\udf21"', "🌡"), ("1e400", "1e400")]


def translated(name, allowed, prefix):
    """Returns the name that is sent, or None if there is none: the rule of the contract's row `names`."""
    if name == "" or name.startswith("__"):
        return None
    if not name.isascii():
        return "U__" + "".join("__" if c == "_" else c if re.fullmatch(f"[{allowed}]", c) and (index or not c.isdigit())
                               else f"_{ord(c):x}_" for index, c in enumerate(name))
    if not re.fullmatch(rf"[{allowed}_][{allowed}_]*", name) or name[0] in "0123456789":
        name = re.sub(rf"[^{allowed}]+", "_", name)
        if name[0] in "0123456789":
            name = prefix + name
    return None if name.startswith("__") or set(name) == {"_"} else name


def metric_name(name):
    return translated(name, "A-Za-z0-9:", "_")


def label_name(name):
    return translated(name, "A-Za-z0-9", "key_")


class Maker:
    """Makes the text of an event together with the outcome that the contract gives it."""

    def __init__(self, seed, now):
        self.source, self.now = random.Random(seed), now
        self.reasons, self.labels, self.metrics, self.time = set(), {}, {}, None

    def maybe(self, probability):
        return self.source.random() < probability

    def name(self):
        """Returns a name; most names are close to each other, so that they collide."""
        return "".join(self.source.choice(ALPHABET) for _ in range(self.source.choice([0, 1, 2, 2, 3, 3, 3, 4, 5])))

    def quoted(self, text):
        """Returns a JSON string in one of the ways in which it can be written."""
        return json.dumps(text, ensure_ascii=self.maybe(0.5))

    def dimensions(self):
        entries = []
        for _ in range(self.source.choice([0, 1, 1, 2, 3])):
            name = self.name() if self.maybe(0.3) else self.source.choice(["a", "b", "c", "site", "a-b", "a_b"])
            key = label_name(name)
            if key is not None and self.maybe(0.15):
                entries.append(f"{self.quoted(name)}:null")
                continue
            if self.maybe(0.03):
                entries.append(f"{self.quoted(name)}:{self.source.choice(['[]', '{}', '[1]'])}")
                self.reasons |= {"invalid_event"} | ({"invalid_label_name"} if key is None else set())
                if key in self.labels:
                    self.reasons.add("label_collision")
                continue
            literal, value = self.source.choice(LABEL_VALUES)
            entries.append(f"{self.quoted(name)}:{literal}")
            if key is None:
                self.reasons.add("invalid_label_name")
            elif key in self.labels:
                self.reasons.add("label_collision")
            else:
                self.labels[key] = value
        return "{%s}" % ",".join(entries)

    def values(self):
        entries = []
        for _ in range(self.source.choice([1, 1, 2, 3, 4])):
            name = self.name() if self.maybe(0.3) else self.source.choice(["ph", "flow", "level", "a:b", "a-b", "x9"])
            key = metric_name(name)
            if self.maybe(0.05):
                literal, wire = self.source.choice(BAD_VALUES), None
                self.reasons.add("invalid_value")
            else:
                literal, wire = self.source.choice(GOOD_VALUES)
            entries.append(f"{self.quoted(name)}:{literal}")
            if key is None:
                self.reasons.add("invalid_metric_name")
            elif key in self.metrics:
                self.reasons.add("metric_collision")
            else:
                self.metrics[key] = wire
        return "{%s}" % ",".join(entries)

    def timestamp(self):
        if self.maybe(0.06):
            literal, reason = self.source.choice([
                ("1676398017000", "too_old"), ("4102444800000", "in_future"), ("1676398017", "too_old"),
                ('"soon"', "invalid_event"), ("true", "invalid_event"), ("-5", "too_old"), ("1e16", "in_future")])
            self.reasons.add(reason)
            return literal
        self.time = self.now - self.source.randrange(1_800_000)
        return self.source.choice(["%d", '"%d"', "%d.0", "%d.9999", "%de0"]) % self.time

    def event(self, number):
        """Returns the text of an event. `number` keeps its series apart from those of others."""
        parts = [("metrics", self.values())]
        dimensions = self.dimensions()
        parts.append(("dimensions", dimensions[:-1] + ("," if len(dimensions) > 2 else "") + f'"event":{number}}}'))
        self.labels["event"] = str(number)
        if self.maybe(0.8):
            parts.append(("timestamp", self.timestamp()))
        if self.maybe(0.03):
            parts.append((self.source.choice(["metric", "unit", "Timestamp"]), "1"))
            self.reasons.add("invalid_event")
        if self.maybe(0.02):
            parts.append(self.source.choice(parts))
            self.reasons.add("invalid_event")
        self.source.shuffle(parts)
        space = self.source.choice(["", " ", "\n\t"])
        return "{%s}" % ",".join(f"{space}{self.quoted(key)}{space}:{space}{value}" for key, value in parts)


@pytest.mark.parametrize("seed", range(20))
def test_stores_random_events_exactly_or_rejects_them_for_a_true_reason(gateway, seed):
    now = now_ms()
    makers = [Maker(f"{seed}/{number}", now) for number in range(500)]
    texts = [maker.event(number) for number, maker in enumerate(makers)]
    sent = gateway.direct("[%s]" % ",".join(texts))
    assert sent.result.ok, sent.result
    rejected = {one["index"]: one for one in sent.result.json["rejected"]}
    wrong = [(texts[number], maker.reasons, rejected.get(number)) for number, maker in enumerate(makers)
             if (number in rejected) != bool(maker.reasons)
             or (number in rejected and rejected[number]["reason"] not in maker.reasons)]
    assert wrong == []
    expected = {}
    for number, maker in enumerate(makers):
        for name, wire in maker.metrics.items() if not maker.reasons else ():
            expected[name, tuple(sorted(maker.labels.items()))] = (maker.time, wire)
    found = {key: samples[0] for key, samples in sent.samples.items()}
    assert set(found) == set(expected)
    different = [(key, found[key], expected[key]) for key in found
                 if found[key][1] != expected[key][1] or expected[key][0] not in (None, found[key][0])]
    assert different == []
    assert all(len(samples) == 1 for samples in sent.samples.values())
    assert 100 < len(rejected) < 400, "the mixture has too few events of one kind"
