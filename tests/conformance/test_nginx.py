"""What nginx answers itself, with the configuration in deploy/nginx, has the shape that clients know."""

import shutil
from pathlib import Path

import httpx
import pytest

from coterie_conformance import CHECKS, Sizes, Verdict, open_world
from coterie_conformance.runner import judge
from tests.support.deployments import UNLIMITED, nginx, temporary_folder
from tests.support.server import Service, start_service

pytestmark = pytest.mark.skipif(
    not (shutil.which("nginx") or Path("/usr/sbin/nginx").exists()), reason="nginx is not installed"
)
BOUNDS = ("sizes-are-bounded", "endless-bodies-are-refused", "errors-have-one-shape", "any-origin-may-call")


async def test_bounds_hold_behind_nginx_and_an_absent_service_is_told() -> None:
    with temporary_folder() as folder, start_service(folder, **UNLIMITED) as service:
        away = Service(folder, {})  # never started: nginx finds out, and asks the other
        with nginx(folder, service, away) as url:
            async with open_world(url, Sizes(messages=20)) as world:
                for name in (*BOUNDS, *["endless-bodies-are-refused"] * 5):
                    result = await judge(world, CHECKS[name])
                    assert result.verdict is Verdict.HELD, result.line()
                device = await world.guest()
                for size, function in ((9, "send_message"), (41, "send_commit")):
                    answer = await world.place.request(
                        "POST", f"{url}/functions/v1/{function}", device.token,
                        content=b"0" * (size << 20), headers={"content-type": "application/json"},
                    )  # fmt: skip
                    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
                    assert answer.headers["access-control-allow-origin"] == "*"
            service.stop()
            async with httpx.AsyncClient() as http:
                answer = await http.post(f"{url}/functions/v1/groups_list", json={})
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert answer.json()["error"] == answer.json()["message"]
            assert answer.headers["access-control-allow-origin"] == "*"
