"""One function on AWS Lambda, behind a function URL or an HTTP API (payload format 2.0): docs/deploy.md.

Needs the packages of requirements/service.in and mangum, the folders edge_functions, coterie_wire and schema, and in
the environment COTERIE_FUNCTION (its name) and DATABASE_URL, as coterie_api.
"""

import asyncio
import atexit
import importlib
import os
from contextlib import AsyncExitStack

from mangum import Mangum
from starlette.types import Receive, Scope, Send

from edge_functions import log
from edge_functions.endpoint import Function
from edge_functions.services import open_services
from edge_functions.settings import Settings

settings = Settings.from_environment()
log.configure(settings.log, settings.log_level)
function: Function = importlib.import_module(f"edge_functions.functions.{os.environ['COTERIE_FUNCTION']}").app

# Opened when the process starts and kept for the requests that follow; Mangum's own lifespan is one request long.
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
stack = AsyncExitStack()
services = loop.run_until_complete(stack.enter_async_context(open_services(settings)))
atexit.register(lambda: loop.run_until_complete(stack.aclose()))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The function, with its services at hand."""
    await function({**scope, "state": {"services": services}}, receive, send)


handler = Mangum(app, lifespan="off")
