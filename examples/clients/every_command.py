"""Every command of Call API by a JSON-RPC library from PyPI, jsonrpc-websocket, as it is.

    pip install jsonrpc-websocket
    call-api demo                         (in another terminal: a server with three phones)
    python3 every_command.py ws://localhost:5059/call-api \
        sip:alice@127.0.0.1:5071 sip:bob@127.0.0.1:5072 sip:cindy@127.0.0.1:5073
"""

import asyncio
import sys
from collections import defaultdict

import jsonrpc_base
from jsonrpc_websocket import Server

START = ["CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "CALL_ANSWER"]
TRANSFER = ["TRANSFER_ACCEPT", "CALL_START"]


class Client:
    """The library's client, and what it was told of each command."""

    def __init__(self, url):
        self.server = Server(url)
        self.told = defaultdict(list)
        self.ended = defaultdict(asyncio.Future)
        self.changes = set()
        # The library calls these when the server says `Event`, `Error`, `Ended` and `CallEvent`.
        self.server.Event = lambda cmd_id, data, **more: self.told[cmd_id].append(data)
        self.server.Error = lambda cmd_id, message, **more: self.told[cmd_id].append("Error: " + message)
        self.server.Ended = self.on_ended
        self.server.CallEvent = lambda event, **more: self.changes.add(event)

    def on_ended(self, cmd_id, callid=None, **more):
        self.told[cmd_id].append("Ended")
        self.ended[cmd_id].set_result(callid)

    async def run(self, method, expected, **params):
        """Runs a command to its end; the Call-ID of the call that stands then, if there is one."""
        reply = await getattr(self.server, method)(**params)
        assert reply["status"] == "Started", reply
        callid = await self.ended[reply["cmd_id"]]
        told = self.told[reply["cmd_id"]]
        print(method, *told)
        assert told == [*expected, "Ended"], told
        return callid


async def main(url, alice, bob, cindy):
    client = Client(url)
    server, run = client.server, client.run
    await server.ws_connect()
    try:
        # Calls that no command of this client has to do with would be told of, too.
        subscribed = await server.Subscribe()

        await run("Echo", ["REPLY"], hello="world")

        call = await run("CallStart", START, caller=alice, callee=bob)
        await run("CallHold", ["CALL_HOLD"], callid=call, leg="caller")
        await run("CallUnHold", ["CALL_UNHOLD"], callid=call)
        calls = (await server.CallList())["calls"]
        assert any(known["callid"] == call for known in calls), calls
        other = await run("CallBlindTransfer", TRANSFER, callid=call, leg="callee", destination=cindy)
        await run("CallEnd", [], callid=other)

        first = await run("CallStart", START, caller=alice, callee=bob)
        second = await run("CallStart", START, caller=alice, callee=cindy)
        joined = await run(
            "CallAttendedTransfer", TRANSFER, callid_a=first, leg_a="callee", callid_b=second, leg_b="callee"
        )
        await run("CallEnd", [], callid=joined)

        await server.Unsubscribe(subscription=subscribed["subscription"])
        print("Subscribe", *sorted(client.changes))
        assert {"CALL_ESTABLISHED", "CALL_END"} <= client.changes, client.changes

        try:
            await server.CallEnd()
            raise AssertionError("a request without parameters is refused")
        except jsonrpc_base.ProtocolError as error:
            assert error.args[0] == -32602, error
    finally:
        await server.close()


asyncio.run(main(*sys.argv[1:]))
