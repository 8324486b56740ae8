"""Probes every URL of a YAML file once and keeps a state file, as a small utility for cron does."""

import json
import os
import sys
import time

import requests
import yaml

configuration, state_file = sys.argv[1:]
with open(configuration) as file:
    tests = [test["http"] for test in yaml.safe_load(file)["tests"]]
state = {}
if os.path.exists(state_file):
    with open(state_file) as file:
        state = json.load(file)
for test in tests:
    known = state.setdefault(test["name"], {"state": "unknown", "fail_count": 0})
    try:
        passed = requests.get(test["url"], timeout=10).status_code == 200
    except requests.RequestException:
        passed = False
    if passed:
        known.update(state="passing", fail_count=0, last_pass_time=time.strftime("%m/%d %H:%M", time.gmtime()))
    else:
        known.update(state="failing", fail_count=known["fail_count"] + 1)
with open(state_file + ".new", "w") as file:
    json.dump(state, file)
os.rename(state_file + ".new", state_file)
sys.exit(any(known["state"] == "failing" for known in state.values()))
