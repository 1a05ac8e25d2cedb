"""`/v1/openapi.json` is OpenAPI 3.1, and true: each example is taken, and each answer is what it says."""
import json
import pathlib
import tempfile
import unittest
import urllib.error
import urllib.request

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from server import Server, api_key

CALL = "/v1/call/"


def setUpModule():
    global server, document, key, scratch
    scratch = tempfile.TemporaryDirectory(prefix="doorbell-test-")
    keys = pathlib.Path(scratch.name, "api-keys.toml")
    key = api_key(keys, "--hints", "--act-as", "Zoë")
    server = Server(DOORBELL_API_KEYS_FILE=str(keys))
    document = get("/v1/openapi.json")[1]


def tearDownModule():
    server.dispose()
    scratch.cleanup()


def get(path):
    with urllib.request.urlopen(server.url + path, timeout=20) as response:
        body = response.read()
        kind = response.headers.get_content_type()
        return response.status, json.loads(body) if kind == "application/json" else body.decode()


def problems(schema, value):
    """What of a value is not as its schema says; references lead into the document's components."""
    validator = Draft202012Validator(schema | {"components": document["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def schema_of(operation, status):
    response = operation["responses"][str(status)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return response["content"]["application/json"]["schema"]


def calls():
    """The methods with their operations; what has to be there first comes first."""
    operations = {path[len(CALL):]: item["post"] for path, item in document["paths"].items() if path.startswith(CALL)}
    first = ["messages.send", "conversations.create", "messages.edit"]
    order = lambda name: (first.index(name) if name in first else len(first), name)
    return [(name, operations[name]) for name in sorted(operations, key=order)]


class OpenApi(unittest.TestCase):
    def test_it_is_valid(self):
        self.assertEqual(document["openapi"], "3.1.0")
        found = list(OpenAPIV31SpecValidator(document).iter_errors())
        self.assertEqual([error.message for error in found], [])

    def test_every_example_is_taken_and_answered_as_described(self):
        group = None
        for name, operation in calls():
            body = operation["requestBody"]["content"]["application/json"]
            example = dict(body["example"])
            # The id of a group is the server's: the example's stands for one that was made.
            if example.get("conversation") == "a-group":
                example["conversation"] = group
            with self.subTest(name):
                self.assertEqual(problems(body["schema"], example), [])
                status, answer = server.post("ada", name, **example)
                self.assertEqual(status, 200, answer)
                self.assertEqual(problems(schema_of(operation, 200), answer), [])
                if name == "conversations.create":
                    group = answer["conversation"]

    def test_what_a_schema_refuses_the_server_refuses_with_an_error_object(self):
        for name, operation in calls():
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            for field in schema["properties"]:
                wrong = {"nobody": ["expects", "this"]}
                if field == "meta":
                    wrong = "no object"
                with self.subTest(name, field=field):
                    self.assertNotEqual(problems(schema, {field: wrong}), [])
                    status, answer = server.post("ada", name, **{field: wrong})
                    self.assertIn(status, (400, 501), answer)
                    self.assertEqual(problems(schema_of(operation, status), answer), [])

    def test_each_refusal_has_the_status_of_its_code(self):
        operation = dict(calls())["messages.list"]
        for user, params, expected in [
            ("ada", {"conversation": "nowhere"}, 404),
            ("ada", {"conversation": "nowhere", "limit": 0}, 400),
        ]:
            status, answer = server.post(user, "messages.list", **params)
            self.assertEqual(status, expected, answer)
            self.assertEqual(problems(schema_of(operation, status), answer), [])
        request = urllib.request.Request(f"{server.url}{CALL}messages.list", b"{}")
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=20)
        with refused.exception as answer:
            self.assertEqual(problems(schema_of(operation, answer.code), json.load(answer)), [])
            self.assertEqual(answer.code, 401)

    def test_a_back_end_with_a_key_rings_and_acts_as_described(self):
        bearer = {"Authorization": f"Bearer {key}"}
        operation = document["paths"]["/v1/hints"]["post"]
        self.assertEqual(operation["security"], [{"apiKey": []}])
        body = operation["requestBody"]["content"]["application/json"]
        self.assertEqual(problems(body["schema"], body["example"]), [])
        status, answer = server.request("/v1/hints", bearer, body["example"])
        self.assertEqual((status, problems(schema_of(operation, 200), answer)), (200, []), answer)
        self.assertEqual(len(answer["hints"]), 1)
        for wrong in [{}, {"hints": [{"topic": "order:17"}]}, {"hints": [{"topic": "order:17", "version": 1, "user": []}]}]:
            self.assertNotEqual(problems(body["schema"], wrong), [])
            status, answer = server.request("/v1/hints", bearer, wrong)
            self.assertEqual((status, problems(schema_of(operation, 400), answer)), (400, []), answer)
        status, answer = server.request("/v1/hints", {}, body["example"])
        self.assertEqual((status, problems(schema_of(operation, 401), answer)), (401, []), answer)

        operation = dict(calls())["topics.changes"]
        self.assertIn({"apiKey": []}, operation["security"])
        named = document["components"]["parameters"]["DoorbellUser"]
        acting = bearer | {named["name"]: named["example"]}
        status, answer = server.request(CALL + "topics.changes", acting, {})
        self.assertEqual((status, problems(schema_of(operation, 200), answer)), (200, []), answer)

    def test_operators_get_what_is_described(self):
        for path in ["/healthz", "/readyz", "/v1/openapi.json"]:
            operation = document["paths"][path]["get"]
            status, answer = get(path)
            self.assertEqual(problems(schema_of(operation, status), answer), [], path)
        self.assertIn("doorbell_server_uptime_seconds", get("/metrics")[1])


if __name__ == "__main__":
    unittest.main()
