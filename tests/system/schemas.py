# SPDX-License-Identifier: GPL-3.0-or-later
"""What `--json` writes, against conf/schemas/VERB.json. The schemas let new keys through, because
who reads our output has to; a test does not: a key that no schema names is not documented."""
import glob
import json
import os

try:
    from jsonschema import Draft7Validator
except ImportError:
    Draft7Validator = None

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def strict(schema):
    """The same, without unknown keys."""
    if isinstance(schema, list):
        return [strict(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if "properties" in made:
        made.setdefault("additionalProperties", False)
    return made


def load():
    found = {}
    for path in sorted(glob.glob(os.path.join(TOP, "conf", "schemas", "*.json"))):
        with open(path, encoding="utf-8") as f:
            found[os.path.basename(path)[:-len(".json")]] = json.load(f)
    return found


def deepest(error):
    """Where it does not fit, and for alternatives where each does not."""
    if error.context:
        return [why for e in error.context for why in deepest(e)]
    return ["/".join(map(str, error.absolute_path)) + ": " + error.message[:200]]


class Schemas:
    def __init__(self):
        self.all = {verb: strict(schema) for verb, schema in load().items()}
        self.seen = {verb: set() for verb in self.all}

    def check(self, verb, text):
        """The value; fails unless it is one of the alternatives of the schema, and notes which."""
        assert verb in self.all, f"there is no conf/schemas/{verb}.json"
        value = json.loads(text)
        schema, why = self.all[verb], []
        for i, alternative in enumerate(schema["anyOf"]):
            one = {"definitions": schema["definitions"], **alternative}
            if "$ref" in alternative:
                one = {"definitions": schema["definitions"], "allOf": [alternative]}
            errors = sorted(Draft7Validator(one).iter_errors(value), key=lambda e: len(e.path))
            if not errors:
                self.seen[verb].add(i)
                return value
            why += deepest(errors[0])
        raise AssertionError(f"{verb} --json fits no alternative: {why} {text[:500]}")

    def unseen(self):
        """Alternatives that nothing was checked against: "verb 2"."""
        return [f"{verb} {i}" for verb, schema in self.all.items()
                for i in range(len(schema["anyOf"])) if i not in self.seen[verb]]
