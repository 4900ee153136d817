"""Tests of the text of the n-gram of commands."""

import json

from training import ngram_commands


def test_values_of_entity_lists_become_their_list(tmp_path):
    table = tmp_path / "train.tsv"
    slots = {"contact": {"entity": {"id": "contact12", "name": "Anna Lee"}}, "level": {"number": 3.0}}
    spans = {"contact": [2, 4], "level": [5, 6]}
    row = ["please call anna lee on three", "phone.call", json.dumps(slots), json.dumps(spans)]
    table.write_text("text\tintent\tslots\tspans\n" + "\t".join(row) + "\n", encoding="utf-8")
    assert list(ngram_commands.drawn(table)) == [["please", "call", "{contact}", "on", "three"]]


def test_names_of_the_packs_become_lists_and_digits_are_left_out(tmp_path):
    def request(text, *values):
        slots = [
            {"name": name, "value": value, "start": text.index(value), "end": text.index(value) + len(value)}
            for name, value in values
        ]
        return json.dumps({"text": text, "slots": slots})

    pack = tmp_path / "pack.jsonl"
    rows = [
        request("Play Yesterday by The Beatles", ("track", "Yesterday"), ("artist", "The Beatles")),
        request("what is the weather"),
        request("play track 7 by Queen", ("artist", "Queen")),
    ]
    pack.write_text("\n".join(rows), encoding="utf-8")
    assert list(ngram_commands.named(pack)) == [["play", "{title}", "by", "{artist}"]]


def test_every_word_of_the_domain_and_every_list_is_in_the_vocabulary():
    texts = {"domain": [["warmer"]], "named": [["play", "{title}"]], "requests": [["play", "rare"], ["play", "jazz"]]}
    numbers = ngram_commands.vocabulary(texts, 2)
    assert {"warmer", "play", "{contact}", "{title}"} <= set(numbers)
    assert "rare" not in numbers
