"""Makes a tiny cross-encoder of random weights, and the scores that transformers gives with it.

    python make_cross_encoder.py cross-encoder

See README.md for the versions.
"""

import json
import pathlib
import sys

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification

FOLDER = pathlib.Path(sys.argv[1])
MAX_TOKENS = 32

QUESTION = "How long may the pump run dry?"
LONG_QUESTION = "how " * 40
PASSAGES = {
    "an answer": "The pump must not run dry for more than thirty seconds.",
    "something else": "Coffee is grown in the shade.",
    "no text": "",
    "more than the model reads": "The pump may run dry. " * 20,
}

WORDS = "how long may the pump run dry must not for more than thirty second coffee is grown in shade of a".split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "##s", *WORDS]


def tokenizer():
    made = Tokenizer(models.WordPiece({word: number for number, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [(word, VOCABULARY.index(word)) for word in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", special)
    # As in the files that people bring: both are to be switched off by who loads it.
    made.enable_truncation(8)
    made.enable_padding(length=8)
    return made


def model():
    torch.manual_seed(7)
    made = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=MAX_TOKENS,
            num_labels=1,
        )
    ).eval()
    # The usual first weights are so small that all scores would be alike.
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn_like(weight) * 0.4)
        made.classifier.weight *= 10
    return made


def pair(ids, question, passage):
    """Cut as Lectern cuts: the question to half of the room, the passage to the rest."""
    ids.no_truncation()
    ids.no_padding()
    encode = lambda text: ids.encode(text, add_special_tokens=False).ids
    room = MAX_TOKENS - 3
    first = encode(question)[: room // 2]
    second = encode(passage)[: room - len(first)]
    cls, sep = VOCABULARY.index("[CLS]"), VOCABULARY.index("[SEP]")
    tokens = [cls, *first, sep, *second, sep]
    segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return torch.tensor([tokens]), torch.tensor([segments])


ids, scorer = tokenizer(), model()
FOLDER.mkdir(exist_ok=True)
ids.save(str(FOLDER / "tokenizer.json"))
scorer.save_pretrained(FOLDER, safe_serialization=True)
cases = []
for question in (QUESTION, LONG_QUESTION):
    for name, passage in PASSAGES.items():
        tokens, segments = pair(ids, question, passage)
        with torch.inference_mode():
            output = scorer(input_ids=tokens, token_type_ids=segments, attention_mask=torch.ones_like(tokens))
        cases.append(
            {"name": name, "question": question, "passage": passage, "score": float(f"{output.logits.item():.6g}")}
        )
(FOLDER / "scores.json").write_text(json.dumps(cases, indent=1) + "\n")
