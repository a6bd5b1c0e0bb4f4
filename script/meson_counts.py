#!/usr/bin/env python3
"""Print "PASSED FAILED" for a meson testlog.json, counting the tests inside each cmocka program."""
import json
import re
import sys

passed = failed = 0
with open(sys.argv[1], encoding="utf-8", errors="replace") as log:
    for line in log:
        test = json.loads(line)
        if test["result"] == "SKIP":
            continue
        output = (test.get("stdout") or "") + (test.get("stderr") or "")
        good = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", output))
        bad = sum(int(n) for n in re.findall(r"\[  FAILED  \] .*?: (\d+) test", output))
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            passed += max(good, 1)
        else:
            passed += good
            failed += max(bad, 1)
if passed + failed == 0:
    sys.exit("no tests ran")
print(passed, failed)
