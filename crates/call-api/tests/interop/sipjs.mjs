// A headless SIP.js phone on stdin and stdout, one JSON object a line, as `pjsip.py` is one of PJSIP.
//
// It calls whom a REFER names, and none of its NOTIFYs arrives. SIP.js speaks SIP over WebSocket only
// and leaves the sound to browsers: UDP, and descriptions of sound that nobody sends, are made here.

import dgram from "node:dgram";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [name, port, media, modules] = process.argv.slice(2);
const library = createRequire(modules).resolve("sip.js");
const { EmitterImpl, SessionState, TransportState, UserAgent } = await import(pathToFileURL(library));

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

// A message to whom it goes: a response to the top Via, a request to the first Route or its target.
function destination(message) {
  const uri = /sips?:(?:[^@;>\s]*@)?([^:;>\s]+)(?::(\d+))?/;
  if (!message.startsWith("SIP/2.0")) {
    const route = /^Route:(.*)$/im.exec(message);
    const [, host, port] = uri.exec(route ? route[1] : message);
    return [host, Number(port ?? 5060)];
  }
  const [, host, port, parameters] = /^Via:\s*SIP\/2\.0\/UDP\s+([^:;\s]+)(?::(\d+))?(.*)$/im.exec(message);
  return [host, Number(/rport=(\d+)/.exec(parameters)?.[1] ?? port ?? 5060)];
}

class Udp {
  protocol = "UDP";
  state = TransportState.Disconnected;
  stateChange = new EmitterImpl();

  enter(state) {
    this.state = state;
    this.stateChange.emit(state);
  }

  async connect() {
    this.enter(TransportState.Connecting);
    this.socket = dgram.createSocket("udp4");
    this.socket.on("message", (bytes) => this.onMessage?.(bytes.toString()));
    await new Promise((bound) => this.socket.bind(Number(port), "127.0.0.1", bound));
    this.enter(TransportState.Connected);
    this.onConnect?.();
  }

  async disconnect() {
    this.socket.close();
    this.enter(TransportState.Disconnected);
    this.onDisconnect?.();
  }

  async dispose() {
    await this.disconnect();
  }

  isConnected() {
    return this.state === TransportState.Connected;
  }

  send(message) {
    if (message.startsWith("NOTIFY ")) return Promise.resolve();
    const [host, port] = destination(message);
    return new Promise((sent, failed) => {
      this.socket.send(message, port, host, (error) => (error ? failed(error) : sent()));
    });
  }
}

// Offers and takes one stream of sound (RFC 3264).
class Descriptions {
  version = 0;
  offered = "sendrecv";
  isOffered = false;

  hasDescription(type) {
    return type === "application/sdp";
  }

  async setDescription(sdp) {
    this.offered = /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/m.exec(sdp)?.[1] ?? "sendrecv";
    this.isOffered = true;
  }

  async getDescription() {
    const answers = { sendrecv: "sendrecv", sendonly: "recvonly", recvonly: "sendonly", inactive: "inactive" };
    const direction = this.isOffered ? answers[this.offered] : "sendrecv";
    this.isOffered = false;
    this.version += 1;
    const lines = [
      "v=0", `o=- 1 ${this.version} IN IP4 127.0.0.1`, "s=-", "c=IN IP4 127.0.0.1", "t=0 0",
      `m=audio ${media} RTP/AVP 0`, "a=rtpmap:0 PCMU/8000", `a=${direction}`, "",
    ];
    return { body: lines.join("\r\n"), contentType: "application/sdp" };
  }

  async rollbackDescription() {}

  sendDtmf() {
    return false;
  }

  close() {}
}

const calls = new Set();

function follow(call, callId) {
  const tell = (event, more) => say({ event, call_id: callId(), ...more });
  calls.add(call);
  call.stateChange.addListener((state) => {
    if (state === SessionState.Established) tell("established");
    if (state === SessionState.Terminated) {
      calls.delete(call);
      tell("closed");
    }
  });
  call.delegate = {
    onRefer: async (refer) => {
      tell("referred", { to: refer.referTo.uri.toString() });
      await refer.accept();
      const placed = refer.makeInviter();
      follow(placed, () => placed.request.callId);
      await placed.invite();
    },
  };
}

const phone = new UserAgent({
  uri: UserAgent.makeURI(`sip:${name}@127.0.0.1:${port}`),
  // It drops responses whose Via has a port: they come to where its requests are from (RFC 3581).
  viaHost: "127.0.0.1",
  forceRport: true,
  contactName: name,
  contactParams: { transport: "udp" },
  logLevel: "warn",
  logBuiltinEnabled: false,
  // Standard output is ours.
  logConnector: (level, category, _label, text) => console.error(level, category, text),
  sipExtensionReplaces: "Supported",
  transportConstructor: Udp,
  transportOptions: {},
  sessionDescriptionHandlerFactory: () => new Descriptions(),
  delegate: {
    onInvite: async (call) => {
      follow(call, () => call.request.callId);
      await call.accept();
    },
  },
});
Object.assign(phone.contact.uri, { host: "127.0.0.1", port: Number(port), user: name });
await phone.start();

for await (const line of createInterface({ input: process.stdin })) {
  const { command } = JSON.parse(line);
  say({ reply: true, ok: command === "calls", result: calls.size });
}
// Like a pulled plug: not a word to the peers.
process.exit(0);
