"""Tests of what was heard in place of what was said."""

import json

from training.nlu.heard import carried, rows


def test_spans_follow_their_words():
    said, heard = "it's cold on the left side".split(), "it is cold on left side".split()
    assert carried(said, heard, {"zone": [4, 5]}) == {"zone": [4, 5]}
    assert carried(said, "cold on the left side".split(), {"zone": [4, 5]}) == {"zone": [3, 4]}


def test_a_slot_that_lost_a_word_is_none():
    said = "make it twenty one degrees".split()
    assert carried(said, "make it twenty degrees".split(), {"temperature": [2, 5]}) is None
    assert carried(said, "make twenty one degrees".split(), {"temperature": [2, 5]}) == {"temperature": [1, 4]}
    assert carried(said, [], {}) == {}


def test_rows_keep_what_was_said_and_leave_out_what_cannot_be_read():
    line = "\t".join(["warmer by two degrees", "climate.increase_temperature", "{}", json.dumps({"degrees": [2, 3]})])
    candidates = [
        {"text": "warmer by two degrees", "confidence": 0.9},
        {"text": "warmer by too degrees", "confidence": 0.7},
        {"text": "warmer two degrees", "confidence": 0.5},
    ]
    found = [row.split("\t") for row in rows(line, candidates)]
    assert [row[0] for row in found] == ["warmer by two degrees", "warmer two degrees"]
    assert [json.loads(row[3]) for row in found] == [{"degrees": [2, 3]}, {"degrees": [1, 2]}]
    assert found[1][4:] == ["warmer by two degrees", "2", "0.500"]
