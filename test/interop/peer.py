"""The `websockets` package as a peer, both roles, led over stdio: one JSON object a line.

In:   {"id": 1, "do": "serve", "cert": file or null, "key": file or null, "deflate": {...}}
      {"id": 2, "do": "talk", "url": ..., "ca": file or null, "subprotocols": [...], "headers": {...}, "actions": [...],
       "deflate": {...}}
Out:  {"id": 1, "port": 4711}, {"id": 2, "heard": {...}}, {"id": 2, "error": "..."}
      {"closed": {"code": 1000, "reason": ""}}   for each connection of the server, when it has ended

The paths that the server knows and the actions are those of conversation.ts; besides there is /pinging, which sends every
message back and a numbered ping behind it, and the action "echo", which does so as often as it says, in fragments if it is told
to. "deflate" has the arguments of the package's PerMessageDeflate factories; without it, compression is the package's default.
Messages are {"text": ...} or {"binary": base64}. It ends when its standard input is closed, so nothing is left behind by a
parent that is killed.
"""

import asyncio
import base64
import json
import ssl
import sys
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory

MAX_SIZE = 4 * 1024 * 1024


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def pack(data):
    return {"text": data} if isinstance(data, str) else {"binary": base64.b64encode(data).decode()}


def unpack(data):
    return data["text"] if "text" in data else base64.b64decode(data["binary"])


async def close(socket, code, reason):
    if code is not None:
        await socket.close(int(code), reason or "")
        return
    # close() always sends a code; an empty frame is the protocol object's to send.
    try:
        async with socket.send_context():
            socket.protocol.send_close()
    except ConnectionClosed:
        pass


def ended(socket):
    return {"code": socket.close_code, "reason": socket.close_reason}


async def send_in_fragments(socket, message):
    whole = message.encode() if isinstance(message, str) else message
    # The same places as `cut` in conversation.ts: inside a character, if it is the text there.
    await socket.send([whole[:12], whole[12:17], whole[17:]], text=isinstance(message, str))


async def echo(socket, message, number, fragments):
    if fragments:
        await send_in_fragments(socket, message)
    else:
        await socket.send(message)
    # It answers with a future for the pong, which nobody awaits.
    await socket.ping(str(number))


def compression(factory, deflate):
    return {} if deflate is None else {"compression": None, "extensions": [factory(**deflate)]}


async def behave(socket):
    url = urlsplit(socket.request.path)
    query = parse_qs(url.query)
    if url.path == "/ping":
        await (await socket.ping("are you there?"))
        await socket.send("the pong is there")
    elif url.path == "/head":
        headers = socket.request.headers
        head = {"subprotocol": socket.subprotocol or "", "custom": headers.get("X-Custom")}
        await socket.send(json.dumps({**head, "offered": headers.get("Sec-WebSocket-Extensions", "")}))
    elif url.path == "/close":
        await close(socket, query.get("code", [None])[0], query.get("reason", [""])[0])
    elif url.path == "/terminate":
        await socket.recv()
        socket.transport.abort()
    number = 0
    async for message in socket:
        if url.path == "/pinging":
            await echo(socket, message, number, "fragments" in query)
            number += 1
        elif url.path == "/fragments":
            await send_in_fragments(socket, message)
        else:
            await socket.send(message)


async def handle(socket):
    try:
        await behave(socket)
    except ConnectionClosed:
        pass
    await socket.wait_closed()
    say({"closed": ended(socket)})


def refuse(connection, request):
    if request.path != "/refuse":
        return None
    response = connection.respond(HTTPStatus.UNAUTHORIZED, "who are you?")
    response.headers["WWW-Authenticate"] = 'Basic realm="interop"'
    return response


def answer(connection, request, response):
    response.headers["X-Answer"] = "yes"


async def start(servers, cert, key, deflate=None):
    context = None
    if cert is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
    server = await serve(
        handle,
        "127.0.0.1",
        0,
        ssl=context,
        subprotocols=["second"],
        # Takes the first of its own that was offered; the package's way refuses a client that offers none.
        select_subprotocol=lambda connection, offered: "second" if "second" in offered else None,
        process_request=refuse,
        process_response=answer,
        max_size=MAX_SIZE,
        **compression(ServerPerMessageDeflateFactory, deflate),
    )
    servers.append(server)
    return server.sockets[0].getsockname()[1]


async def act(socket, action, messages):
    do = action["do"]
    if do == "send":
        await socket.send(unpack(action["data"]))
    elif do == "send-fragments":
        await socket.send([unpack(part) for part in action["parts"]], text=action["text"])
    elif do == "receive":
        for _ in range(action["count"]):
            messages.append(await socket.recv())
    elif do == "echo":
        for number in range(action["count"]):
            await echo(socket, await socket.recv(), number, action["fragments"])
    elif do == "ping":
        await (await socket.ping(action["data"]))
    elif do == "close":
        await close(socket, action.get("code"), action.get("reason"))
    elif do == "terminate":
        socket.transport.abort()
    elif do == "await-close":
        await socket.wait_closed()


async def talk(url, ca, subprotocols, headers, actions, deflate=None):
    options = {} if ca is None else {"ssl": ssl.create_default_context(cafile=ca)}
    heard = {"refused": None, "subprotocol": "", "extensions": "", "messages": [], "close": None}
    try:
        socket = await connect(
            url,
            # No list rather than an empty one, which would be sent as an empty header.
            subprotocols=subprotocols or None,
            additional_headers=headers,
            proxy=None,
            max_size=MAX_SIZE,
            **compression(ClientPerMessageDeflateFactory, deflate),
            **options,
        )
    except InvalidStatus as refusal:
        return {**heard, "refused": refusal.response.status_code}
    messages = []
    for action in actions:
        await act(socket, action, messages)
    await socket.wait_closed()
    return {
        **heard,
        "subprotocol": socket.subprotocol or "",
        "extensions": socket.response.headers.get("Sec-WebSocket-Extensions", ""),
        "messages": [pack(message) for message in messages],
        "close": ended(socket),
    }


async def obey(servers, id, do, **arguments):
    try:
        if do == "serve":
            say({"id": id, "port": await start(servers, **arguments)})
        else:
            say({"id": id, "heard": await talk(**arguments)})
    except Exception as error:
        say({"id": id, "error": repr(error)})


async def main():
    loop = asyncio.get_running_loop()
    servers, tasks = [], set()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        task = asyncio.create_task(obey(servers, **json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    for task in tasks:
        task.cancel()
    for server in servers:
        server.close()


asyncio.run(main())
