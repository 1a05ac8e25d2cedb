"""Tokens as an application makes them, by the lines of docs/protocol.md."""
import pathlib
import subprocess
import unittest

from client import Client
from server import Server, binary

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "protocol.md"


def snippet():
    """The first Python lines under "Tokens"."""
    _, tokens = PAGE.read_text().split("## Tokens\n", 1)
    return tokens.split("```python\n", 1)[1].split("```", 1)[0]


class Tokens(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.dispose()

    async def follows(self, token):
        """What the token's session is called, and whether it may follow the news."""
        async with Client(self.server.ws_url, "json") as client:
            welcome = await client.hello(token)
            await client.send(type="subscribe", id="s", topics={"news:sport": 0})
            followed = await client.next("reply", lambda frame: frame["id"] == "s")
            return welcome["user"], welcome.get("device"), followed["result"]["topics"]

    async def test_the_lines_of_the_page_sign_a_token_with_its_claims(self):
        names = {"key": f"{self.server.data_dir}/key"}
        exec(snippet(), names)
        self.assertEqual(await self.follows(names["token"]), ("ada", "phone", {"news:sport": 0}))

    async def test_doorbell_token_makes_the_same(self):
        asked = [binary(), "token", "ada", "--topic", "news:*", "--throttle", "100", "--device", "phone"]
        made = subprocess.run([*asked, "--data-dir", self.server.data_dir], check=True, capture_output=True, text=True)
        self.assertEqual(await self.follows(made.stdout.strip()), ("ada", "phone", {"news:sport": 0}))

    def test_a_grant_that_is_none_is_refused_by_name(self):
        asked = [binary(), "token", "ada", "--topic", "conversation:*", "--data-dir", self.server.data_dir]
        made = subprocess.run(asked, capture_output=True, text=True)
        self.assertNotEqual(made.returncode, 0)
        self.assertIn("--topic", made.stderr)


if __name__ == "__main__":
    unittest.main()
