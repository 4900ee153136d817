"""How the language model is made: an encoder of words for intents and slots, with heads for each domain."""
