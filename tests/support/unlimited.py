"""Settings under which nobody is asked to wait: for tests that ask what may be done, not how often."""

import dataclasses

from edge_functions.settings import Settings

UNLIMITED = {
    "COTERIE_COMMIT_GROUP_SECONDS": "0",
    "COTERIE_COMMIT_DEVICE_SECONDS": "0",
    **{
        one.metadata["name"]: str(int(min(one.metadata["high"], 10**9)))
        for one in dataclasses.fields(Settings)
        if one.name.startswith("limit_")
    },
}
