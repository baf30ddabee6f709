// Every command of Call API by a JSON-RPC library from npm, rpc-websockets, as it is.
//
//   npm install rpc-websockets
//   call-api demo                         (in another terminal: a server with three phones)
//   node every_command.mjs ws://localhost:5059/call-api \
//     sip:alice@127.0.0.1:5071 sip:bob@127.0.0.1:5072 sip:cindy@127.0.0.1:5073

import assert from "node:assert/strict";
import { Client } from "rpc-websockets";

const [url, alice, bob, cindy] = process.argv.slice(2);
const client = new Client(url, { reconnect: false });
await new Promise((resolve, reject) => client.on("open", resolve).on("error", reject));

// What is told of commands, by cmd_id, and who waits for the end of which.
const told = new Map();
const waiting = new Map();

function of(cmdId) {
  if (!told.has(cmdId)) told.set(cmdId, []);
  return told.get(cmdId);
}

client.on("Event", (params) => of(params.cmd_id).push(params.data));
client.on("Error", (params) => of(params.cmd_id).push(`Error: ${params.message}`));
client.on("Ended", (params) => {
  of(params.cmd_id).push("Ended");
  waiting.get(params.cmd_id)?.(params);
});

// Runs a command to its end and returns the Call-ID of the call that stands then, if there is one.
async function run(method, params, expected) {
  const { cmd_id: cmdId, status } = await client.call(method, params);
  assert.equal(status, "Started");
  const ended = await new Promise((resolve) => waiting.set(cmdId, resolve));
  console.log(method, of(cmdId).join(" "));
  assert.deepEqual(of(cmdId), [...expected, "Ended"]);
  return ended.callid;
}

const start = ["CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "CALL_ANSWER"];
const transfer = ["TRANSFER_ACCEPT", "CALL_START"];

// Calls that no command of this client has to do with would be told of, too.
const changes = new Set();
client.on("CallEvent", (params) => changes.add(params.event));
const { subscription } = await client.call("Subscribe", {});

await run("Echo", { hello: "world" }, ["REPLY"]);

const call = await run("CallStart", { caller: alice, callee: bob }, start);
await run("CallHold", { callid: call, leg: "caller" }, ["CALL_HOLD"]);
await run("CallUnHold", { callid: call }, ["CALL_UNHOLD"]);
const { calls } = await client.call("CallList");
assert.ok(calls.some(({ callid }) => callid === call));
const other = await run("CallBlindTransfer", { callid: call, leg: "callee", destination: cindy }, transfer);
await run("CallEnd", { callid: other }, []);

const first = await run("CallStart", { caller: alice, callee: bob }, start);
const second = await run("CallStart", { caller: alice, callee: cindy }, start);
const parties = { callid_a: first, leg_a: "callee", callid_b: second, leg_b: "callee" };
const joined = await run("CallAttendedTransfer", parties, transfer);
await run("CallEnd", { callid: joined }, []);

await client.call("Unsubscribe", { subscription });
console.log("Subscribe", [...changes].sort().join(" "));
assert.ok(changes.has("CALL_ESTABLISHED") && changes.has("CALL_END"));

await assert.rejects(client.call("CallEnd", {}), { code: -32602 });
client.close();
