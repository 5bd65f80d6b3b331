"""The description is one of OpenAPI 3.1, and its examples are what its schemas say.

python3 examples.py URL
"""

import json
import sys
import urllib.request

import jsonschema_rs

with urllib.request.urlopen(sys.argv[1]) as response:
    document = json.load(response)

wrong, count = [], 0


def check(where, content):
    """Each example of a body against its schema."""
    global count
    for kind, media in content.items():
        if "json" not in kind:
            continue
        schema = {**media.get("schema", {}), "components": document["components"]}
        validator = jsonschema_rs.Draft202012Validator(schema)
        examples = [media["example"]] if "example" in media else []
        for example in media.get("examples", {}).values():
            name = example["$ref"].rsplit("/", 1)[-1]
            examples.append(document["components"]["examples"][name]["value"])
        for example in examples:
            count += 1
            wrong.extend(f"{where}: {error.message}" for error in validator.iter_errors(example))


for path, item in document["paths"].items():
    for method, operation in item.items():
        where = f"{method.upper()} {path}"
        check(f"{where}, request", operation.get("requestBody", {}).get("content", {}))
        for status, answer in operation["responses"].items():
            check(f"{where}, {status}", answer.get("content", {}))

print(f"{count} examples in {len(document['paths'])} paths")
if wrong:
    sys.exit("\n".join(wrong))
