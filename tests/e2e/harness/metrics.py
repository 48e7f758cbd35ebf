"""Reads metrics in Prometheus's text format; asserts that they are well-formed."""
import re
import urllib.request

from . import PATIENCE_S

_SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.eE+-]+|NaN|[+-]Inf)$')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


class Metrics:
    """One scrape: types by family, values by name and labels."""

    def __init__(self, text):
        self.text, self.types, self.samples = text, {}, {}
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"two families {name}"
                self.types[name] = kind
            elif line and not line.startswith("#"):
                self.add(line)

    def add(self, line):
        match = _SAMPLE.match(line)
        assert match, f"no sample: {line}"
        name, labels, value = match.groups()
        pairs = _LABEL.findall(labels or "")
        assert "".join(f'{k}="{v}",' for k, v in pairs).rstrip(",") == (labels or "").rstrip(","), line
        key = (name, frozenset(pairs))
        assert key not in self.samples, f"two samples {key}"
        self.samples[key] = float(value)

    def value(self, name, **labels):
        return self.samples[name, frozenset(labels.items())]

    def labelled(self, name):
        """The values of all samples of that name, by their labels: a frozenset of pairs of name and value."""
        return {labels: value for (sample, labels), value in self.samples.items() if sample == name}

    def total(self, name, **labels):
        """The sum over all samples of that name whose labels include these."""
        return sum(value for key, value in self.labelled(name).items() if set(labels.items()) <= key)


def get(url):
    """(status, content type, text) of a GET."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=PATIENCE_S) as answer:
        return answer.status, answer.headers.get("Content-Type"), answer.read().decode()


def scrape(port):
    return Metrics(get(f"http://127.0.0.1:{port}/metrics")[2])
