"""Prints what the pods of each role run, as JSON: arguments and environment. Takes values, as JSON, too."""

import json
import sys

import rendering

made = rendering.documents(rendering.render(json.loads(sys.argv[1])))
roles = {}
for document in made:
    if document["kind"] == "Deployment":
        container = document["spec"]["template"]["spec"]["containers"][0]
        roles[container["args"][0]] = {"args": container["args"], "env": container["env"]}
print(json.dumps(roles))
