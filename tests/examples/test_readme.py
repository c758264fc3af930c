"""What the READMEs show is so: the purchase runs as pasted, the plugin is the example, the settings exist."""

import asyncio
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from core.demo.seed import seed
from core.deployment.runtime import Runtime
from core.kit.settings import Settings
from core.testkit import Server

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh.md")


def blocks(name: str, language: str) -> list[str]:
    """The code blocks of a README."""
    return re.findall(rf"```{language}\n(.*?)\n```", (ROOT / name).read_text(), re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_purchase_the_coupon_the_tools_and_the_return_work_as_pasted(
    runtime: Runtime, server: Server
) -> None:
    await seed(runtime.tx)
    purchase, coupons, tools, after = (
        next(block for block in blocks("README.md", "bash") if block.startswith(start))
        for start in ("api=", "staff=", "products=", "payable=")
    )
    # The command line asks a market that `make run` has started.
    coupons = re.sub(r"^\.venv/bin/jishi .*\n", "", coupons, flags=re.MULTILINE)
    script = "\n".join(
        [purchase.partition("\nsleep ")[0], coupons, tools, re.sub(r"\nsleep .*", "", after)]
    ).replace("http://127.0.0.1:8000", server.url)
    process = await asyncio.create_subprocess_exec(
        "bash", "-eu", "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await asyncio.wait_for(process.communicate(), 90))[0].decode()
    assert process.returncode == 0, output
    assert "payment: paid" in output, output
    assert output.count("shipped\ncompleted\n") == 3, output
    assert "claimed: unused" in output, output
    assert "- 20.00  满100减20 (the market bears 14.00, the shop 6.00)" in output, output
    for shown in ("山城挂耳 Drip Bags: 第二件半价", "璧山葡萄: 秒杀价", "手工牛油火锅底料: 2人团"):
        assert shown in output, output
    for said in (
        "挂耳第二件半价: 19.50 off",
        "积分抵扣（每积分 0.01 元）: 5.00 off",
        "两块底料送干碟: a gift",
        "果铺每日秒杀: 31.80 off",
    ):
        assert said in output, output
    assert "2680 fen: paid\n2780 fen: paid\nthe group: " in output, output
    assert re.search(r"\n\d+\n", output), output
    assert "\npayment: paid\naccepted\n" in output, output
    assert "the shop: agreed\nthe buyer: sent\nthe shop: refunding\n" in output, output
    assert output.count("买家") >= 2, output


@pytest.mark.parametrize("name", READMES)
def test_the_plugin_in_one_page_is_the_example(name: str) -> None:
    example = ROOT / "examples" / "hello_plugin"
    assert blocks(name, "python") == [(example / "hello_plugin.py").read_text().rstrip()]
    assert blocks(name, "toml")[0] in (example / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", READMES)
def test_every_setting_it_names_exists(name: str) -> None:
    known = {f"JISHI_{field.name.upper()}" for field in msgspec.structs.fields(Settings)} | {"JISHI_LOG"}
    assert set(re.findall(r"JISHI_[A-Z_]+", (ROOT / name).read_text())) <= known


def test_the_translation_has_the_same_sections_and_commands() -> None:
    english, chinese = ((ROOT / name).read_text() for name in READMES)
    assert len(re.findall(r"^## ", english, re.MULTILINE)) == len(re.findall(r"^## ", chinese, re.MULTILINE))
    bare = [[re.sub(r"\s*#.*", "", block) for block in blocks(name, "bash")] for name in READMES]
    assert bare[0] == bare[1]
