#!/usr/bin/env python3
"""sarif.py FILE CONFIG: whether FILE is a SARIF 2.1.0 log as its schema describes it, for the objects
that `pinfold lint` writes, and whether each region is the place of its JSON pointer in CONFIG.

The rules are those of the published schema: which properties an object has, which it must have, and of
which type; no object has others. Beside it section 3 of the standard: an index names the rule of the id.
"""
import json
import re
import sys
from urllib.parse import unquote

MESSAGE = {"text": (str, True)}
RULE = {
    "id": (str, True), "shortDescription": (MESSAGE, False), "help": (MESSAGE, False),
    "defaultConfiguration": ({"level": (("none", "note", "warning", "error"), False)}, False),
    "properties": ({"security-severity": (str, False), "tags": ([str], False)}, False),
}
REGION = {name: (int, False) for name in ("startLine", "startColumn", "endLine", "endColumn")}
LOCATION = {
    "physicalLocation": ({"artifactLocation": ({"uri": (str, False)}, True), "region": (REGION, False)}, False),
    "logicalLocations": ([{"fullyQualifiedName": (str, False)}], False),
}
RESULT = {
    "ruleId": (str, False), "ruleIndex": (int, False), "message": (MESSAGE, True),
    "level": (("none", "note", "warning", "error"), False), "locations": ([LOCATION], False),
    "partialFingerprints": (dict, False), "properties": (dict, False),
}
LOG = {
    "$schema": (str, False), "version": (("2.1.0",), True),
    "runs": ([{
        "tool": ({"driver": ({"name": (str, True), "version": (str, False), "rules": ([RULE], False)}, True)}, True),
        "columnKind": (("utf16CodeUnits", "unicodeCodePoints"), False), "results": ([RESULT], False),
    }], True),
}


def check(value, shape, at):
    if isinstance(shape, dict):
        assert isinstance(value, dict), f"{at}: no object"
        for name in value:
            assert name in shape, f"{at}: no property {name}"
        for name, (inner, required) in shape.items():
            assert name in value or not required, f"{at}: lacks {name}"
            if name in value:
                check(value[name], inner, f"{at}/{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{at}: no list"
        for index, one in enumerate(value):
            check(one, shape[0], f"{at}/{index}")
    elif isinstance(shape, tuple):
        assert value in shape, f"{at}: {value!r}"
    else:
        assert isinstance(value, shape) and not isinstance(value, bool), f"{at}: {value!r}"
        assert shape is not int or value >= 0, f"{at}: {value}"


def is_at(text, region, pointer):
    """The region begins with the last name of the pointer, or with the value where that is a number."""
    line = text.split("\n")[region["startLine"] - 1]
    part = line[region["startColumn"] - 1:]
    name = pointer.rsplit("/", 1)[-1].replace("~1", "/").replace("~0", "~")
    value = json.loads(text)
    try:
        for step in pointer.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            value = value[int(step)] if isinstance(value, list) else value[step]
    except (KeyError, IndexError):
        return part[:1] in "\"{["
    return part.startswith(json.dumps(name) + ":") or name.isdigit() and part[:1] in "\"{["


log = json.load(open(sys.argv[1]))
check(log, LOG, "")
text = open(sys.argv[2]).read()
results = log["runs"][0]["results"]
rules = log["runs"][0]["tool"]["driver"]["rules"]
assert results, "no results"
ids = [rule["id"] for rule in rules]
assert len(set(ids)) == len(ids), "two rules of one id"
for result in results:
    assert ids[result["ruleIndex"]] == result["ruleId"], result
    place = result["locations"][0]["physicalLocation"]
    uri, region = place["artifactLocation"]["uri"], place["region"]
    assert re.fullmatch(r"(file:///)?([A-Za-z0-9._~/-]|%[0-9A-F]{2})+", uri), uri
    assert unquote(uri).endswith(sys.argv[2]), uri
    assert region["startLine"] >= 1 and region["startColumn"] >= 1, region
    assert (region["startLine"], region["startColumn"]) < (region["endLine"], region["endColumn"]), region
    assert is_at(text, region, result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]), result
