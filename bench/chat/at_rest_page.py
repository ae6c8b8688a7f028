"""The conversation of `at_rest.py` in the page's Python, over IndexedDB."""

from __future__ import annotations

import json
from typing import Any

from conversation import Conversation, in_turn

from coterie.ports import Store
from coterie.storage.indexeddb import IndexedDbStore


async def measure(plain: Any, sealed: Any, messages: int) -> str:
    """What `in_turn` found, as JSON; `plain` and `sealed` are modules like `web/store.js`."""

    async def begin(helper: Any, kind: str) -> Conversation:
        async def opened(name: str) -> Store:
            return await IndexedDbStore.open(helper, f"{kind} {name}")

        return await Conversation.begin(opened, lambda: 0)

    return json.dumps(await in_turn(await begin(plain, "plain"), await begin(sealed, "sealed"), messages))
