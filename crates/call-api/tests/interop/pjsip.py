"""A headless PJSIP phone on stdin and stdout: one JSON object a line.

In:   {"command": "dial", "to": "sip:bob@127.0.0.1:5072"}, and so on: see `Phone.do`.
Out:  {"reply": true, "ok": true, "result": ...} to each, in their order, and {"event": ...} for what
      the phone's user would notice.

Calls are named by their SIP Call-ID. The phone leaves when its stdin is closed.
"""

import argparse
import json
import os
import queue
import re
import sys
import threading
import traceback

import pjsua2 as pj

DIRECTIONS = {
    pj.PJMEDIA_DIR_NONE: "inactive",
    pj.PJMEDIA_DIR_ENCODING: "sendonly",
    pj.PJMEDIA_DIR_DECODING: "recvonly",
    pj.PJMEDIA_DIR_ENCODING_DECODING: "sendrecv",
}


# PJSIP prints to stdout before it can be told not to: that goes to stderr, and stdout is ours.
OUT = os.fdopen(os.dup(sys.stdout.fileno()), "w")
os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def say(**message):
    print(json.dumps(message), file=OUT, flush=True)


def bare(address):
    """The URI of an address such as `"Bob" <sip:bob@127.0.0.1:5072>;tag=1`."""
    return re.sub(r"^.*<|>.*$|;tag=.*$", "", address.strip())


def tag(name, message):
    return re.search(rf"^(?:{name})\s*:.*;tag=([^;\s]*)", message, re.MULTILINE | re.IGNORECASE)[1]


class Call(pj.Call):
    def __init__(self, phone, index=pj.PJSUA_INVALID_ID, peer=None):
        super().__init__(phone.account, index)
        self.phone = phone
        self.peer = peer
        # PJSIP speaks to it as long as it likes.
        phone.made.append(self)

    def tell(self, event, **more):
        info = self.getInfo()
        say(event=event, call_id=info.callIdString, peer=self.peer or bare(info.remoteUri), **more)

    def onCallState(self, prm):
        info = self.getInfo()
        # PJSIP makes calls of its own accord, too: for a REFER and for an INVITE with Replaces.
        # Whoever speaks under an index has it.
        self.phone.calls[info.id] = self
        if info.state == pj.PJSIP_INV_STATE_EARLY and info.role == pj.PJSIP_ROLE_UAC:
            self.tell("ringing", code=info.lastStatusCode)
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.tell("established")
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.tell("closed", why=f"{info.lastStatusCode} {info.lastReason}")
            if self.phone.calls[info.id] is self:
                del self.phone.calls[info.id]

    def onCallRedirected(self, prm):
        self.phone.redirections.append(bare(prm.targetUri))
        return pj.PJSIP_REDIRECT_ACCEPT

    def onCallTransferRequest(self, prm):
        self.tell("referred", to=prm.dstUri)
        prm.newCall = Call(self.phone)

    def onCallTransferStatus(self, prm):
        self.tell("transfer", code=prm.statusCode, final=prm.finalNotify)

    def onCallReplaced(self, prm):
        call = Call(self.phone, prm.newCallId)
        self.phone.calls[prm.newCallId] = call
        self.tell("replaced", by=call.getInfo().callIdString)
        prm.newCall = call

    def onCallTsxState(self, prm):
        happened = prm.e.body.tsxState
        transaction, is_ours = happened.tsx, happened.tsx.role == pj.PJSIP_ROLE_UAC
        is_answered = transaction.state == pj.PJSIP_TSX_STATE_COMPLETED
        if is_ours and is_answered and transaction.method == "UPDATE":
            self.tell("updated", code=transaction.statusCode)
        if happened.type == pj.PJSIP_EVENT_TX_MSG and not is_ours and transaction.statusCode == 180:
            # The early dialog, as others see it who know it from this phone (RFC 4235).
            sent = happened.src.tdata.wholeMsg
            self.tell("rings", tags=[tag(name, sent) for name in ("From|f", "To|t")])

    def onCallRxOffer(self, prm):
        self.tell("offered")
        if self.phone.refuses_offers:
            prm.statusCode = 488

    def onDtmfDigit(self, prm):
        self.tell("digit", digit=prm.digit)

    def onInstantMessage(self, prm):
        self.tell("message", text=prm.msgBody)

    def onInstantMessageStatus(self, prm):
        self.tell("delivered", code=prm.code)


class Account(pj.Account):
    def __init__(self, phone):
        super().__init__()
        self.phone = phone

    def onIncomingCall(self, prm):
        # PJSIP shows no port of a From, for there should be none (RFC 3261 section 19.1.1).
        caller = re.search(r"^(?:From|f)\s*:(.*)$", prm.rdata.wholeMsg, re.MULTILINE | re.IGNORECASE)
        call = Call(self.phone, prm.callId, bare(caller[1]))
        self.phone.calls[prm.callId] = call
        call.tell("incoming")
        call.answer(parameters(180))
        if self.phone.options.answer == "auto":
            call.answer(parameters(200))

    def onRegState(self, prm):
        say(event="registration", call_id="", peer="", code=prm.code)


def parameters(code=0):
    made = pj.CallOpParam(True)
    made.statusCode = code
    return made


class Phone:
    def __init__(self, options):
        self.options = options
        self.made = []
        self.calls = {}
        self.refuses_offers = False
        self.redirections = []
        self.endpoint = endpoint(options)
        self.account = Account(self)
        self.account.create(account_settings(options))

    def call(self, call_id):
        return next(c for c in self.calls.values() if c.getInfo().callIdString == call_id)

    def do(self, command, call_id=None, **more):
        """Does what a user does at the phone; returns what there is to say."""
        if command == "calls":
            return len(self.calls)
        if command == "redirections":
            return self.redirections
        if command == "refuse_offers":
            self.refuses_offers = True
            return None
        if command == "dial":
            call = Call(self)
            made = parameters()
            if "replaces" in more:
                replaces = pj.SipHeader()
                replaces.hName, replaces.hValue = "Replaces", more["replaces"]
                made.txOption.headers.append(replaces)
            call.makeCall(more["to"], made)
            return call.getInfo().callIdString
        if command == "unregister":
            self.account.setRegistration(False)
            return None
        call = self.call(call_id)
        if command == "answer":
            call.answer(parameters(more["code"]))
        elif command == "hangup":
            call.hangup(parameters())
        elif command == "hold":
            call.setHold(parameters())
        elif command == "resume":
            resume = parameters()
            resume.opt.flag = pj.PJSUA_CALL_UNHOLD
            call.reinvite(resume)
        elif command == "transfer":
            call.xfer(more["to"], parameters())
        elif command == "connect":
            call.xferReplaces(self.call(more["with"]), parameters())
        elif command == "direction":
            # Not in one line: the parts of an info are gone with it.
            info = call.getInfo()
            return DIRECTIONS[info.media[0].dir] if info.media else "inactive"
        elif command == "press":
            call.dialDtmf(more["digit"])
        elif command == "press_by_info":
            digits = pj.CallSendDtmfParam()
            digits.method, digits.digits = pj.PJSUA_DTMF_METHOD_SIP_INFO, more["digit"]
            call.sendDtmf(digits)
        elif command == "update":
            call.update(parameters())
        elif command == "say":
            message = pj.SendInstantMessageParam()
            message.contentType, message.content = "text/plain", more["text"]
            call.sendInstantMessage(message)
        else:
            raise ValueError(f"no such command: {command}")
        return None


def endpoint(options):
    made = pj.Endpoint()
    made.libCreate()
    settings = pj.EpConfig()
    settings.logConfig.level = 5
    settings.logConfig.consoleLevel = 0
    settings.logConfig.filename = options.log
    # All callbacks come from libHandleEvents, in the main thread.
    settings.uaConfig.threadCnt = 0
    settings.uaConfig.mainThreadOnly = True
    settings.medConfig.clockRate = settings.medConfig.sndClockRate = 8000
    settings.medConfig.noVad = True
    settings.medConfig.ecTailLen = 0
    # The null device is the clock of all sound: it must not stop between two calls.
    settings.medConfig.sndAutoCloseTime = -1
    made.libInit(settings)
    transport = pj.TransportConfig()
    transport.port = options.port
    transport.boundAddress = transport.publicAddress = "127.0.0.1"
    made.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    made.libStart()
    made.audDevManager().setNullDev()
    for codec in made.codecEnum2():
        is_g711 = codec.codecId in ("PCMU/8000/1", "PCMA/8000/1")
        made.codecSetPriority(codec.codecId, 200 if is_g711 else 0)
    return made


def account_settings(options):
    made = pj.AccountConfig()
    made.idUri = f"sip:{options.name}@127.0.0.1:{options.registrar or options.port}"
    if options.registrar:
        made.regConfig.registrarUri = f"sip:127.0.0.1:{options.registrar}"
        made.regConfig.timeoutSec = 120
        credentials = pj.AuthCredInfo("digest", "*", options.name, 0, options.password)
        made.sipConfig.authCreds.append(credentials)
    if options.proxy:
        made.sipConfig.proxies.append(f"{options.proxy};lr")
    if options.timer:
        made.callConfig.timerUse = pj.PJSUA_SIP_TIMER_REQUIRED
        made.callConfig.timerMinSESec = made.callConfig.timerSessExpiresSec = options.timer
    if options.reliable:
        made.callConfig.prackUse = pj.PJSUA_100REL_MANDATORY
    made.natConfig.contactRewriteUse = made.natConfig.viaRewriteUse = 0
    media = made.mediaConfig.transportConfig
    media.port, media.portRange, media.boundAddress = options.media, 15, "127.0.0.1"
    return made


def read_commands(commands):
    for line in sys.stdin:
        commands.put(json.loads(line))
    commands.put(None)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("name")
    arguments.add_argument("port", type=int)
    arguments.add_argument("media", type=int)
    arguments.add_argument("log")
    arguments.add_argument("--answer", choices=["auto", "manual"])
    arguments.add_argument("--registrar", type=int)
    arguments.add_argument("--password")
    arguments.add_argument("--proxy")
    arguments.add_argument("--timer", type=int, help="requires session timers of so many seconds")
    arguments.add_argument("--reliable", action="store_true", help="requires 100rel")
    phone = Phone(arguments.parse_args())
    commands = queue.SimpleQueue()
    threading.Thread(target=read_commands, args=[commands], daemon=True).start()
    while True:
        phone.endpoint.libHandleEvents(10)
        while not commands.empty():
            command = commands.get()
            if command is None:
                # Like a pulled plug: not a word to the peers.
                os._exit(0)
            try:
                say(reply=True, ok=True, result=phone.do(**command))
            except Exception:
                say(reply=True, ok=False, result=traceback.format_exc())


main()
