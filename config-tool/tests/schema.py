"""Judges files by the schema on the standard input: prints `fine NAME` or `refused NAME` for each."""

import json
import sys
import tomllib

import jsonschema

schema = json.load(sys.stdin)
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for name in sys.argv[1:]:
    with open(name, "rb") as file:
        try:
            is_fine = validator.is_valid(tomllib.load(file))
        except tomllib.TOMLDecodeError:
            is_fine = False
    print("fine" if is_fine else "refused", name)
