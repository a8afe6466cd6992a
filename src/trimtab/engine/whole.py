"""A whole answer as one body: as it came where client and upstream speak one protocol, else written anew from its events.

It knows nothing of HTTP, nor of who waits for the body.
"""

from __future__ import annotations

from trimtab.core.events import Folder
from trimtab.core.messages import Request
from trimtab.engine.gateway import Reply
from trimtab.wire import ClientCodec


async def whole_answer(request: Request, reply: Reply, codec: ClientCodec) -> tuple[bytes, str]:
    """Everything that ``reply`` says, in the client's protocol, and its content type as the upstream named it; empty where we wrote it.

    Raises what the frames raise.
    """
    folder, body, media = Folder(), b"", ""
    async for frame in reply.frames:
        if frame.native and frame.is_last and reply.dialect is request.dialect:
            body, media = frame.native, reply.content_type
        else:
            folder.add(frame.events)
    return body or codec.encode_response(folder.response(), reply.id), media
