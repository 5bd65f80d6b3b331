"""Makes the golden vectors with sentence-transformers, the library that the model was published with.

    python make.py MODEL_FOLDER > all-MiniLM-L6-v2.json

See README.md for the versions.
"""

import hashlib
import json
import sys

import sentence_transformers
import torch
import transformers

MAX_TOKENS = 256

PARAGRAPH = (
    "The pump is driven by a three-phase motor and must not run dry for more than thirty seconds. "
    "Before the first start, fill the housing through the upper plug until water leaves the vent, "
    "then close both and check the direction of rotation against the arrow on the coupling guard. "
)

TEXTS = {
    "a question": "How long may the pump run dry?",
    "one word": "invoice",
    "a sentence": "Employees accrue two days of paid leave for each full month of service.",
    "a paragraph": PARAGRAPH,
    "longer than the model reads": " ".join(f"{PARAGRAPH}See section {n}.{n + 3} of the manual." for n in range(1, 9)),
    "empty": "",
    "white space and controls": " \t\n\u200b\u0007 ",
    "punctuation and numbers": "§ 12.4(b): 1,299.00 € — 37.5 % (±0.2) @ 10⁻³ mol/L!?",
    "accents and umlauts": "Die Kündigungsfrist beträgt drei Monate; à défaut, l'accord préalable s'applique. Żółć, naïve, Ångström.",
    "decomposed accents": "Ku\u0308ndigungsfrist, pre\u0301alable, A\u030angstro\u0308m",
    "chinese and japanese": "保証期間は購入日から二年間です。保修期为自购买之日起两年。",
    "arabic, hebrew, hindi and korean": "فترة الضمان سنتان. תקופת האחריות היא שנתיים. वारंटी दो साल की है। 보증 기간은 2년입니다.",
    "emoji and symbols": "Release 🚀 shipped ✅ — rollback ➜ v2.3.1 👩‍💻 #ops",
    "code": "fn main() { let x: Vec<u8> = std::fs::read(\"a.bin\")?; assert_eq!(x.len(), 0x10); }",
    "a very long word": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3,
    "special tokens in the text": "Write [MASK] or [SEP] to separate, [PAD] to fill.",
}


def main() -> None:
    folder = sys.argv[1]
    transformer = sentence_transformers.models.Transformer(folder, max_seq_length=MAX_TOKENS)
    pooling = sentence_transformers.models.Pooling(transformer.get_word_embedding_dimension(), pooling_mode="mean")
    model = sentence_transformers.SentenceTransformer(modules=[transformer, pooling], device="cpu")
    # One text per batch: no padding, hence nothing that a batch's other texts could change in the last digits.
    vectors = model.encode(list(TEXTS.values()), batch_size=1, normalize_embeddings=True)

    with open(f"{folder}/model.safetensors", "rb") as weights:
        revision = hashlib.file_digest(weights, "sha256").hexdigest()
    print(json.dumps({
        "revision": revision,
        "max_tokens": MAX_TOKENS,
        "made_with": {
            "sentence-transformers": sentence_transformers.__version__,
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        },
        "cases": "CASES",
    }, indent=2).replace('"CASES"', "[\n" + ",\n".join(
        # Seven significant digits are what a 32-bit float holds. One case per line keeps the diff readable.
        json.dumps({"name": name, "text": text, "vector": [float(f"{x:.7g}") for x in vector]}, ensure_ascii=False)
        for (name, text), vector in zip(TEXTS.items(), vectors)
    ) + "\n  ]"))


if __name__ == "__main__":
    main()
