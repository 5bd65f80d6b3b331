"""What the official Python SDK of the Model Context Protocol gets from Lectern, at LECTERN_URL with LECTERN_KEY."""

import asyncio
import os

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

URL = os.environ["LECTERN_URL"] + "/mcp"
HEADERS = {"Authorization": f"Bearer {os.environ['LECTERN_KEY']}"}
QUESTION = "How many euros is the daily allowance inside the country?"


def structured(result):
    assert not result.is_error, result.content
    # Clients that know no structured results read the same as text.
    assert result.content[0].text
    return result.structured_content


async def tools(client):
    known = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert sorted(known) == ["ask", "list_documents", "read_document", "search"], known
    for tool in known.values():
        assert tool.description and tool.output_schema["type"] == "object", tool
        assert tool.annotations.read_only_hint
    assert known["search"].input_schema["required"] == ["question"]

    found = structured(await client.call_tool("search", {"question": "lost laptop", "passages": 1}))
    assert [passage["page_first"] for passage in found["passages"]] == [3], found
    answered = structured(await client.call_tool("ask", {"question": QUESTION}))
    assert "28 euros" in answered["answer"] and answered["cited"] == [1], answered
    assert answered["sources"][0]["page_first"] == 2 and not answered["abstained"]

    listed = structured(await client.call_tool("list_documents", {"limit": 1}))
    assert len(listed["documents"]) == 1 and listed["next"]
    rest = structured(await client.call_tool("list_documents", {"limit": 1, "cursor": listed["next"]}))
    handbook = rest["documents"][0]
    assert handbook["name"] == "handbook.pdf" and rest["next"] is None, rest
    return handbook["id"]


async def reading(client, handbook):
    pages = structured(await client.call_tool("read_document", {"document": handbook, "page_first": 2}))
    assert [page["number"] for page in pages["pages"]] == [2, 3] and pages["pages_total"] == 3, pages
    assert "28 euros" in pages["pages"][0]["text"] and pages["next_page"] is None

    resources = (await client.list_resources()).resources
    uris = [str(resource.uri) for resource in resources]
    assert f"lectern://documents/{handbook}" in uris and len(uris) == 2, uris
    templates = (await client.list_resource_templates()).resource_templates
    assert [template.uri_template for template in templates] == [
        "lectern://documents/{id}",
        "lectern://documents/{id}/pages/{page}",
    ]
    whole = (await client.read_resource(f"lectern://documents/{handbook}")).contents
    assert len(whole) == 3 and "28 euros" in whole[1].text
    page = (await client.read_resource(f"lectern://documents/{handbook}/pages/3")).contents
    assert [content.text for content in page] == [whole[2].text]


async def refusals(client):
    for name, wanted, hint in [
        ("search", {"question": " "}, "question is empty"),
        ("search", {"question": "x", "collection": "nowhere"}, "no such collection"),
        ("read_document", {"document": "01a20772-3af4-72fd-8809-0efd0471f922"}, "no such document"),
        ("list_documents", {"limit": 1000}, "from 1 to 200"),
    ]:
        result = await client.call_tool(name, wanted)
        assert result.is_error and hint in result.content[0].text, (name, result)
    for uri in ["lectern://documents/01a20772-3af4-72fd-8809-0efd0471f922", "lectern://nothing"]:
        try:
            await client.read_resource(uri)
        except MCPError:
            continue
        raise AssertionError(f"{uri} is there")


async def doors():
    hello = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    accept = {"Accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient() as http:
        stranger = await http.post(URL, json=hello, headers=accept)
        assert stranger.status_code == 401, stranger.text
        assert stranger.headers["www-authenticate"] == "Bearer"
        for origin, status in [("https://evil.example", 403), ("https://assistant.example", 200)]:
            told = await http.post(URL, json=hello, headers={**accept, **HEADERS, "Origin": origin})
            assert told.status_code == status, (origin, told.status_code, told.text)


async def main():
    await doors()
    async with httpx2.AsyncClient(headers=HEADERS, timeout=60) as http:
        async with Client(streamable_http_client(URL, http_client=http)) as client:
            handbook = await tools(client)
            await reading(client, handbook)
            await refusals(client)
    print("mcp for Python: all well")


asyncio.run(main())
